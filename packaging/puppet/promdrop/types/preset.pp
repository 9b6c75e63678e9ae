# The textfile directory of one kind of installation.
type Promdrop::Preset = Struct[
  {
    Optional[textfile_dir] => Promdrop::Textfile_dir,
    owner                  => Promdrop::Account,
    group                  => Promdrop::Account,
    mode                   => Promdrop::Mode,
  }
]
