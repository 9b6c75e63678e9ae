# A number with its unit, such as 500ms, 15s, 1m or `1h 30m`.
type Promdrop::Duration = Pattern[/\A\d+ ?[A-Za-z]+( ?\d+ ?[A-Za-z]+)*\z/]
