# What a definition holds. The keys of the modules' own sections are left to `promdrop check`.
type Promdrop::Definition = Struct[
  {
    module               => Enum['command', 'file', 'netstat', 'ping'],
    Optional[interval]   => Promdrop::Duration,
    Optional[timeout]    => Promdrop::Duration,
    Optional[max_age]    => Promdrop::Duration,
    Optional[splay]      => Boolean,
    Optional[on_failure] => Enum['drop', 'keep'],
    Optional[enabled]    => Boolean,
    Optional[user]       => String[1],
    Optional[group]      => String[1],
    Optional[max_series] => Integer[1],
    Optional[labels]     => Hash[Pattern[/\A[a-zA-Z_][a-zA-Z0-9_]*\z/], String],
    Optional[command]    => Hash[String[1], Data],
    Optional[file]       => Hash[String[1], Data],
    Optional[netstat]    => Hash[String[1], Data],
    Optional[ping]       => Hash[String[1], Data],
  }
]
