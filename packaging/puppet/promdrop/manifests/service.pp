# @summary What starts promdrop, timer or cron, never both; and what removes at once that no definition claims any more.
# @api private
class promdrop::service {
  $present = $promdrop::ensure == 'present'

  if $promdrop::systemd {
    $timer = $present and $promdrop::starter == 'timer'
    service { 'promdrop.timer':
      ensure => $timer,
      enable => $timer,
    }
  }
  $cron = ($present and $promdrop::starter == 'cron') ? { true => 'file', default => 'absent' }
  # Not the line of the package, which does nothing where systemd runs: here it is told what starts promdrop.
  file { '/etc/cron.d/promdrop':
    ensure  => $cron,
    owner   => 'root',
    group   => 'root',
    mode    => '0644',
    content => epp('promdrop/cron.epp'),
  }
  if $present {
    exec { 'promdrop prune':
      command     => [
        'promdrop', 'prune', '--textfile-dir', $promdrop::directory, '--collectors-dir', $promdrop::collectors_dir,
      ],
      path        => $promdrop::path,
      refreshonly => true,
    }
  }
}
