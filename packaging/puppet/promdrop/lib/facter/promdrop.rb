# frozen_string_literal: true

# What the catalog has to know of this host.
# `systemd`: whether it runs here, and doesn't only lie on the disk. `packaged_units`: whether a package has brought
# promdrop's. `packaged_cron`: whether the line for cron is such as the package's, which does nothing where systemd runs.
# `settings`: whether /etc/default/promdrop says anything.
Facter.add(:promdrop) do
  confine kernel: 'Linux'
  setcode do
    lines = ->(path) { File.readable?(path) ? File.readlines(path) : [] }
    {
      'systemd' => File.directory?('/run/systemd/system'),
      'packaged_units' => %w[/lib /usr/lib].any? { |lib| File.exist?("#{lib}/systemd/system/promdrop.timer") },
      'packaged_cron' => lines.call('/etc/cron.d/promdrop').any? { |line| line.include?('test -d /run/systemd/system ||') },
      'settings' => lines.call('/etc/default/promdrop').any? { |line| line.start_with?('PROMDROP_') },
    }
  end
end
