# @summary Settings, directories, and the drop-ins of the unit.
# @api private
class promdrop::config {
  $present = $promdrop::ensure == 'present'
  $directory = $promdrop::directory
  $units = '/etc/systemd/system'
  $dropins = "${units}/promdrop.service.d"
  # The unit's own directory, where root needs no power to write.
  $usual = $directory == '/var/lib/prometheus/node-exporter' and $promdrop::owner == 'root'

  $own = $promdrop::systemd and $promdrop::install == 'none' and !$promdrop::host['packaged_units']

  # Each file's text, and whether there is to be such a file.
  $plain = {
    '/etc/default/promdrop'         => [epp('promdrop/default.epp'), true],
    '/etc/tmpfiles.d/promdrop.conf' => [epp('promdrop/tmpfiles.epp'), $promdrop::in_memory],
  }
  $of_systemd = {
    "${units}/promdrop.service" => [file('promdrop/promdrop.service'), $own],
    "${units}/promdrop.timer"   => [file('promdrop/promdrop.timer'), $own],
    "${dropins}/textfile.conf"  => [epp('promdrop/textfile.conf.epp'), !$usual],
    "${dropins}/commands.conf"  => [file('promdrop/commands.conf'), $promdrop::commands_sandbox],
    "${dropins}/netns.conf"     => [file('promdrop/netns.conf'), $promdrop::netns_sandbox],
    "${dropins}/options.conf"   => [epp('promdrop/options.conf.epp'), !$promdrop::service_options.empty],
  }
  $files = $promdrop::systemd ? { true => $plain + $of_systemd, default => $plain }
  # The package's file of settings says nothing by itself, and stays as it is where there is nothing to say.
  $told = !$promdrop::settings.empty or $promdrop::host['settings'] or !$present
  $files.filter |$path, $file| { $path != '/etc/default/promdrop' or $told }.each |$path, $file| {
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
      subscribe   => File[[$dropins] + $of_systemd.keys],
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
