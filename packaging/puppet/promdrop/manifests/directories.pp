# @summary The textfile directory and that of the definitions.
# @api private
class promdrop::directories {
  $textfile = $promdrop::manage_textfile_dir ? { true => [$promdrop::directory], default => [] }

  # Of those above them only what is missing: they may be another class's.
  ($textfile + $promdrop::collectors_dir).each |$path| {
    $above = regsubst($path, '/[^/]+\z', '')
    exec { "promdrop: mkdir --parents ${above}, for ${path}":
      command => ['mkdir', '--parents', $above],
      path    => $promdrop::path,
      umask   => '022',
      creates => $above,
      before  => File[$path],
    }
  }

  $textfile.each |$path| {
    file { $path:
      ensure => directory,
      owner  => $promdrop::owner,
      group  => $promdrop::group,
      mode   => $promdrop::mode,
    }
  }

  # All but *.yaml is no definition, so nobody's to remove; Puppet's patterns say what to leave, and know no other "not".
  $others = ['.*', '?', '??', '???', '????', '*[!l]', '*[!m]l', '*[!a]ml', '*[!y]aml', '*[!.]yaml']
  $purge = $promdrop::purge_collectors ? {
    true    => {
      'recurse'      => true,
      'recurselimit' => 1,
      'purge'        => true,
      'ignore'       => $others,
      'backup'       => false,
      'notify'       => Exec['promdrop prune'],
    },
    default => {},
  }
  file { $promdrop::collectors_dir:
    ensure => directory,
    owner  => 'root',
    group  => 'root',
    mode   => '0755',
    *      => $purge,
  }
}
