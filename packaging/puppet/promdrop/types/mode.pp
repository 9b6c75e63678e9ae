# A mode in octal digits.
type Promdrop::Mode = Pattern[/\A[0-7]?[0-7]{3}\z/]
