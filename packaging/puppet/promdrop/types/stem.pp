# The name of a collector: that of its definition, and of the file it publishes.
type Promdrop::Stem = Pattern[/\A(?!promdrop\z)[a-z0-9][a-z0-9_-]{0,127}\z/]
