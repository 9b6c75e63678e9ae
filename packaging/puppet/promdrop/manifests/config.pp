# @summary Settings, directories, and the drop-ins of the unit.
# @api private
class promdrop::config {
  $present = $promdrop::ensure == 'present'
  $directory = $promdrop::directory
  $dropins = '/etc/systemd/system/promdrop.service.d'
  # The unit's own directory, where root needs no power to write.
  $usual = $directory == '/var/lib/prometheus/node-exporter' and $promdrop::owner == 'root'

  # Each file's text, and whether there is to be such a file.
  $files = {
    '/etc/default/promdrop'         => [epp('promdrop/default.epp'), true],
    # What lies in memory is gone with each boot.
    '/etc/tmpfiles.d/promdrop.conf' => [epp('promdrop/tmpfiles.epp'), $directory =~ /\A\/(run|var\/run|dev\/shm)\//],
    "${dropins}/textfile.conf"      => [epp('promdrop/textfile.conf.epp'), $promdrop::systemd and !$usual],
    "${dropins}/commands.conf"      => [file('promdrop/commands.conf'), $promdrop::systemd and $promdrop::commands_sandbox],
    "${dropins}/netns.conf"         => [file('promdrop/netns.conf'), $promdrop::systemd and $promdrop::netns_sandbox],
  }
  $files.each |$path, $file| {
    $state = ($present and $file[1]) ? { true => 'file', default => 'absent' }
    file { $path:
      ensure  => $state,
      owner   => 'root',
      group   => 'root',
      mode    => '0644',
      content => $file[0],
    }
  }
  if $promdrop::systemd {
    $state = $present ? { true => 'directory', default => 'absent' }
    file { $dropins:
      ensure => $state,
      owner  => 'root',
      group  => 'root',
      mode   => '0755',
      force  => true,
    }
    exec { 'promdrop: systemctl daemon-reload':
      command     => ['systemctl', 'daemon-reload'],
      path        => $promdrop::path,
      refreshonly => true,
      subscribe   => ([$dropins] + $files.keys.filter |$path| { $path.match(/\.service\.d\//) }).map |$path| { File[$path] },
    }
  }

  if $present {
    contain promdrop::directories
  } else {
    file { [$promdrop::collectors_dir, '/etc/promdrop']:
      ensure => absent,
      force  => true,
      backup => false,
    }
  }
}
