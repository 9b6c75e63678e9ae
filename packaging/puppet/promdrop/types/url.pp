# Where node_exporter serves its metrics: promdrop speaks no https, and its file of settings has no place for what a shell
# would take for something else.
type Promdrop::Url = Pattern[/\Ahttp:\/\/[^\s"'\\$`#&;|<>()~]+\z/]
