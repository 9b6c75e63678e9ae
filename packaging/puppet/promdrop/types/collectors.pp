# Definitions by name.
type Promdrop::Collectors = Hash[Promdrop::Stem, Promdrop::Definition]
