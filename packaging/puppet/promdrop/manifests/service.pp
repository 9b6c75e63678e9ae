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
  # The package's own line does nothing where systemd runs, and all that is asked for where it doesn't: it stays as it is,
  # so that an upgrade has nothing to ask. Puppet's line is for cron beside systemd.
  $cron = $promdrop::starter == 'cron'
  $packaged = !$promdrop::systemd or !$cron
  $wanted = $cron or ($promdrop::systemd and ($promdrop::install != 'none' or $promdrop::host['packaged_cron']))
  $state = ($present and $wanted) ? { true => 'file', default => 'absent' }
  $line = $packaged ? { true => file('promdrop/cron'), default => epp('promdrop/cron.epp') }
  file { '/etc/cron.d/promdrop':
    ensure  => $state,
    owner   => 'root',
    group   => 'root',
    mode    => '0644',
    content => $line,
    replace => !($packaged and $promdrop::host['packaged_cron']),
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
