# How node_exporter came onto the host.
type Promdrop::Node_exporter = Enum['debian', 'upstream', 'prometheus_collection', 'puppet', 'custom']
