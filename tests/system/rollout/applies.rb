# frozen_string_literal: true

# Applies one manifest to many machines: applies.rb MANIFEST LEADER..., each LEADER a process of a machine. What each
# apply says follows a line with the machine's process and the exit status.
#
# To load Puppet costs more than to apply: it is loaded once, and what it applies with are forks of this process, in the
# machines.

require 'fiddle'
require 'tempfile'
require 'puppet'
require 'puppet/application/apply'
require 'puppet/util/command_line'

%i[exec file package service user].each { |type| Puppet::Type.type(type) }

def c_function(name, arguments)
  Fiddle::Function.new(Fiddle::Handle::DEFAULT[name], [Fiddle::TYPE_INT] * arguments, Fiddle::TYPE_INT)
end
SETNS = c_function('setns', 2)
FCHDIR = c_function('fchdir', 1)

# The rest of this process, and its children to come, are in the machine.
def enter(leader)
  root = File.open("/proc/#{leader}/root")
  spaces = %w[uts ipc cgroup net pid mnt].map { |kind| File.open("/proc/#{leader}/ns/#{kind}") }
  spaces.each { |space| SETNS.call(space.fileno, 0).zero? or raise "setns #{space.path}" }
  FCHDIR.call(root.fileno).zero? or raise 'fchdir'
  Dir.chroot('.')
end

def apply(leader, manifest, log)
  fork do
    enter(leader)
    [$stdout, $stderr].each { |stream| stream.reopen(log) }
    # Only a child is a process of the machine's.
    inner = fork do
      options = %w[apply --detailed-exitcodes --color=false --modulepath=/srv/packaging/puppet]
      Puppet::Util::CommandLine.new('puppet', options + ['-e', manifest]).execute
    end
    exit!(Process.wait2(inner)[1].exitstatus || 255)
  end
end

def report(logs)
  pid, status = Process.wait2
  leader, log = logs.delete(pid)
  puts "#{leader} #{status.exitstatus}", File.read(log.path)
end

manifest, *leaders = ARGV
logs = {}
leaders.each do |leader|
  report(logs) if logs.size == 4
  log = Tempfile.new('apply')
  logs[apply(leader, manifest, log)] = [leader, log]
end
report(logs) until logs.empty?
