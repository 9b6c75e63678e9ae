# The name of a user or a group.
type Promdrop::Account = Pattern[/\A[A-Za-z0-9_][A-Za-z0-9_.-]*\$?\z/]
