# An absolute path that means the same in a unit, in a table of cron and in a shell.
type Promdrop::Path = Pattern[/\A(\/(?!\.\.?(\/|\z))[A-Za-z0-9._@+-]+)+\z/]
