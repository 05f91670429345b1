#!/bin/sh
# Rankshift's RebootProgram: waits until no rank container is left on this node, then reboots it as the site does.
# slurmd runs it as root with almost no environment. Where containers stay, the node is not rebooted: exit 1 says so.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
reboot=@REBOOT@
if text=$(/usr/bin/timeout @SECONDS@ @NODE@ @MAIN@ slurm wait-empty 2>&1); then
  /usr/bin/logger -t rankshift-reboot -p daemon.info -- "no rank container is left: $reboot" >/dev/null 2>&1
  exec "$reboot" "$@"
fi
/usr/bin/logger -t rankshift-reboot -p daemon.err -- "not rebooted, rank containers are left: $text" >/dev/null 2>&1
exit 1
