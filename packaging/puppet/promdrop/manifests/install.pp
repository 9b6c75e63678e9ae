# @summary The program and its units, or their end.
# @api private
class promdrop::install {
  $options = $promdrop::install ? {
    # Only so is the package file compared with what is installed.
    'deb'   => { 'ensure' => 'latest', 'provider' => 'dpkg', 'source' => $promdrop::deb },
    default => { 'ensure' => $promdrop::package_ensure },
  }

  if $promdrop::ensure == 'present' {
    if $promdrop::install != 'none' {
      package { $promdrop::package_name:
        * => $options,
      }
    }
  } else {
    # A run of cron's goes on to the end of its minute, and would publish again.
    $running = 'pgrep --full "^promdrop run --every"'
    exec { 'promdrop: await the end of what cron has started':
      command => "sh -c 'while ${running} >/dev/null; do sleep 1; done'",
      path    => $promdrop::path,
      onlyif  => $running,
      timeout => 90,
      before  => Exec['promdrop prune --all'],
    }
    # As long as the program is there to say which files are its own.
    exec { 'promdrop prune --all':
      command => ['promdrop', 'prune', '--all', '--textfile-dir', $promdrop::directory],
      path    => $promdrop::path,
      onlyif  => "grep --quiet --no-messages '^# promdrop-format: ' ${promdrop::directory}/*.prom",
    }
    if $promdrop::install != 'none' {
      package { $promdrop::package_name:
        ensure  => purged,
        require => Exec['promdrop prune --all'],
      }
    }
  }
}
