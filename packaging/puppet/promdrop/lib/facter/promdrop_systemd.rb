# frozen_string_literal: true

# Whether systemd runs this host, and not only lies on its disk.
Facter.add(:promdrop_systemd) do
  confine kernel: 'Linux'
  setcode { File.directory?('/run/systemd/system') }
end
