# frozen_string_literal: true

# Whether systemd runs this host, and not only lies on its disk; and whether a package has brought promdrop's units.
Facter.add(:promdrop) do
  confine kernel: 'Linux'
  setcode do
    {
      'systemd' => File.directory?('/run/systemd/system'),
      'packaged_units' => %w[/lib /usr/lib].any? { |lib| File.exist?("#{lib}/systemd/system/promdrop.timer") },
    }
  end
end
