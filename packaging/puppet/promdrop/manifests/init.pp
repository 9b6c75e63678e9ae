# @summary promdrop on a host: the program, its settings, its collectors and what starts it.
#
# @example Debian's node_exporter, and one collector more
#   class { 'promdrop':
#     collectors => {
#       'mail-queue' => {
#         'module'   => 'command',
#         'interval' => '1m',
#         'command'  => {
#           'shell'  => 'find /var/spool/postfix/deferred -type f | wc -l',
#           'output' => { 'format' => 'value', 'name' => 'mail_queue_deferred' },
#         },
#       },
#     },
#   }
#
# @param presets
#   Textfile directory, owner, group and mode for each kind of `node_exporter`; from the module's data.
# @param ensure
#   `absent` removes all that is promdrop's: program, settings, definitions, files and so series. The textfile directory
#   is node_exporter's and stays.
# @param install
#   `package`: from the host's own sources. `deb`: the package file `deb`. `none`: the program is there, and
#   units of the module's own are laid down where no package has brought them.
# @param package_name
#   Name of the package.
# @param package_ensure
#   A version, or `latest`; for `install => package`.
# @param deb
#   Path of the package file on the host; for `install => deb`. A newer one there is installed in its turn.
# @param node_exporter
#   How node_exporter came onto the host.
# @param textfile_dir
#   Its `--collector.textfile.directory`, where it isn't the one of `node_exporter`.
# @param textfile_owner
#   Likewise, that directory's owner.
# @param textfile_group
#   Likewise, its group.
# @param textfile_mode
#   Likewise, its mode.
# @param textfile_tmpfs
#   Whether the directory lies in memory, so that each boot has to make it; without it, the host is asked.
# @param manage_textfile_dir
#   Whether this class has the directory as a resource; not where another one has.
# @param node_exporter_url
#   Where node_exporter serves its metrics, if not where it does by default.
# @param collectors_dir
#   Where the definitions are.
# @param collectors
#   Definitions by name, of which a host's layers of data are put together.
# @param secret_collectors
#   The same for those that hold a password or a token: shown nowhere, readable by root alone.
# @param absent_collectors
#   Names of collectors that go, with their files and series.
# @param purge_collectors
#   Whether definitions go that Puppet doesn't know, with their files and series; also those that the package brings.
# @param scheduler
#   What starts promdrop; without it the timer where systemd runs, else cron. (`schedule` is Puppet's own word.)
# @param commands_sandbox
#   Whether the unit gets what commands may need beyond its sandbox.
# @param netns_sandbox
#   Whether it gets what `netns:` needs.
# @param service_options
#   More lines for its section [Service], such as `PrivateDevices=no` for smartctl.
class promdrop (
  Hash[Promdrop::Node_exporter, Promdrop::Preset]                  $presets,
  Enum['present', 'absent']                                        $ensure              = 'present',
  Enum['package', 'deb', 'none']                                   $install             = 'package',
  String[1]                                                        $package_name        = 'promdrop',
  String[1]                                                        $package_ensure      = 'present',
  Optional[Promdrop::Path]                                         $deb                 = undef,
  Promdrop::Node_exporter                                          $node_exporter       = 'debian',
  Optional[Promdrop::Textfile_dir]                                 $textfile_dir        = undef,
  Optional[Promdrop::Account]                                      $textfile_owner      = undef,
  Optional[Promdrop::Account]                                      $textfile_group      = undef,
  Optional[Promdrop::Mode]                                         $textfile_mode       = undef,
  Optional[Boolean]                                                $textfile_tmpfs      = undef,
  Boolean                                                          $manage_textfile_dir = true,
  Optional[Promdrop::Url]                                          $node_exporter_url   = undef,
  Promdrop::Path                                                   $collectors_dir      = '/etc/promdrop/collectors.d',
  Promdrop::Collectors                                             $collectors          = {},
  Variant[Promdrop::Collectors, Sensitive[Promdrop::Collectors]]   $secret_collectors   = {},
  Array[Promdrop::Stem]                                            $absent_collectors   = [],
  Boolean                                                          $purge_collectors    = false,
  Optional[Enum['timer', 'cron', 'none']]                          $scheduler           = undef,
  Boolean                                                          $commands_sandbox    = false,
  Boolean                                                          $netns_sandbox       = false,
  Array[Pattern[/\A[A-Za-z]+=[^\n]*\z/]]                            $service_options     = [],
) {
  $preset = $presets[$node_exporter]
  $directory = $textfile_dir.lest || { $preset['textfile_dir'] }
  $owner = $textfile_owner.lest || { $preset['owner'] }
  $group = $textfile_group.lest || { $preset['group'] }
  $mode = $textfile_mode.lest || { $preset['mode'] }
  if $directory == undef {
    fail("promdrop: node_exporter => ${node_exporter} has no textfile directory of its own, so give `textfile_dir`: \
what node_exporter has as --collector.textfile.directory")
  }
  if $install == 'deb' and $deb == undef {
    fail('promdrop: install => deb needs `deb`, the path of the package file on the host')
  }

  $mounts = $facts['mountpoints'].lest || { {} }
  $path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  # Without the fact, which comes with the module, as on most hosts.
  $host = { 'systemd' => true, 'packaged_units' => false, 'packaged_cron' => false, 'settings' => false } +
    $facts['promdrop'].lest || { {} }
  $systemd = $host['systemd']
  $in_memory = $textfile_tmpfs.lest || {
    $directory =~ /\A\/(run|var\/run|dev\/shm)\// or $mounts.any |$point, $mount| {
      $mount['filesystem'] == 'tmpfs' and $directory[0, length($point) + 1] == "${point}/"
    }
  }
  # What differs from what promdrop takes for granted by itself.
  $usual = {
    'PROMDROP_TEXTFILE_DIR'   => '/var/lib/prometheus/node-exporter',
    'PROMDROP_COLLECTORS_DIR' => '/etc/promdrop/collectors.d',
  }
  $settings = {
    'PROMDROP_TEXTFILE_DIR'   => $directory,
    'PROMDROP_COLLECTORS_DIR' => $collectors_dir,
    'PROMDROP_NODE_EXPORTER'  => $node_exporter_url,
  }.filter |$name, $value| { $value != $usual[$name] }
  $starter = $scheduler.lest || { $systemd ? { true => 'timer', default => 'cron' } }
  if $starter == 'timer' and !$systemd {
    fail('promdrop: scheduler => timer needs systemd, which does not run this host: use cron')
  }

  contain promdrop::install
  contain promdrop::config
  contain promdrop::service

  if $ensure == 'present' {
    Class['promdrop::install'] -> Class['promdrop::config'] -> Class['promdrop::service']

    $collectors.each |$name, $definition| {
      promdrop::collector { $name: definition => $definition }
    }
    $secrets = $secret_collectors ? { Sensitive => $secret_collectors.unwrap, default => $secret_collectors }
    $secrets.each |$name, $definition| {
      promdrop::collector { $name: definition => Sensitive($definition) }
    }
    promdrop::collector { $absent_collectors: ensure => absent }
  } else {
    Class['promdrop::service'] -> Class['promdrop::install'] -> Class['promdrop::config']
  }
}
