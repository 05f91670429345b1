#!/bin/sh
# Rankshift's trigger program: tells the controller that Slurm changed the state of nodes. Its name ends in the event.
#
# slurmctld runs it as SlurmUser, with almost no environment and one argument, a host list. Hence: absolute paths, an end
# at once (the work goes on in the background), and exit 0 whatever happens. The controller asks Slurm itself, and looks
# now and then without being told, so nothing depends on this program but how soon it knows.

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
event=${0##*/trigger-}
case ${1-} in '' | *[!A-Za-z0-9._,[\]-]*) exit 0 ;; esac
(
  /usr/bin/timeout 60 @NODE@ @MAIN@ slurm event "$event" "$1" 2>&1 |
    /usr/bin/logger -t rankshift-trigger -p daemon.info
) </dev/null >/dev/null 2>&1 &
exit 0
