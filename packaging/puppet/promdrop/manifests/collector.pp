# @summary One collector: a definition that `promdrop check` has taken, else the one that was there stays.
#
# @example Round trips to a gateway
#   promdrop::collector { 'gateway':
#     definition => {
#       'module'   => 'ping',
#       'interval' => '15s',
#       'ping'     => { 'targets' => ['192.0.2.1'] },
#     },
#   }
#
# @example A definition with a token, shown nowhere, readable by root alone
#   promdrop::collector { 'tickets':
#     content => Sensitive(epp('profile/tickets.yaml.epp')),
#   }
#
# @param ensure
#   `absent` removes the definition, and at once the file and the series that it claimed.
# @param definition
#   What the definition holds.
# @param content
#   Its text, in place of `definition`.
# @param mode
#   Its mode; others may never write it. Without one 0644, and 0600 where it is Sensitive.
# @param show_diff
#   Whether Puppet shows what changes in it; never where it is Sensitive.
define promdrop::collector (
  Enum['present', 'absent']                                                $ensure     = 'present',
  Optional[Variant[Promdrop::Definition, Sensitive[Promdrop::Definition]]] $definition = undef,
  Optional[Variant[String[1], Sensitive[String[1]]]]                       $content    = undef,
  Optional[Promdrop::Mode]                                                 $mode       = undef,
  Boolean                                                                  $show_diff  = true,
) {
  if $title !~ Promdrop::Stem {
    fail("promdrop::collector: ${title} can't be the name of a collector: use lower-case letters, digits, `-` and `_`, \
a letter or digit first, at most 128 of them; `promdrop` is reserved")
  }
  if !defined(Class['promdrop']) {
    fail("Promdrop::Collector[${title}] needs the class promdrop: declare it before")
  }
  if $ensure == 'present' and ($definition =~ Undef) == ($content =~ Undef) {
    fail("Promdrop::Collector[${title}]: give either `definition` or `content`")
  }
  $path = "${promdrop::collectors_dir}/${title}.yaml"
  $secret = $definition =~ Sensitive or $content =~ Sensitive

  if $ensure == 'absent' and $promdrop::ensure == 'present' {
    file { $path:
      ensure => absent,
      backup => false,
      notify => Exec['promdrop prune'],
    }
  } elsif $promdrop::ensure == 'present' {
    $plain = $definition ? { Sensitive => $definition.unwrap, default => $definition }
    $text = $plain ? {
      undef   => $content,
      default => "# Puppet writes this file.\n${promdrop::to_yaml($plain)}",
    }
    # A problem is shown with the line it is in, so of a secret only that there is one.
    $refusal = "{ echo 'promdrop check refuses it; what it says would show the secret' >&2; exit 1; }"
    $check = "promdrop check --name ${title} %"
    $options = $secret ? {
      true    => {
        'mode'         => '0600',
        'content'      => $text ? { Sensitive => $text, default => Sensitive($text) },
        'show_diff'    => false,
        'backup'       => false,
        'validate_cmd' => "${check} >/dev/null 2>&1 || ${refusal}",
      },
      default => { 'mode' => '0644', 'content' => $text, 'show_diff' => $show_diff, 'validate_cmd' => $check },
    }
    $override = $mode ? { undef => {}, default => { 'mode' => $mode } }
    file { $path:
      ensure  => file,
      owner   => 'root',
      group   => 'root',
      require => Class['promdrop::install'],
      *       => $options + $override,
    }
  }
}
