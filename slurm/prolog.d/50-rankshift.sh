#!/bin/sh
# Rankshift's Prolog hook: leaves a note for the agent of this node that a job starts here.
#
# slurmd runs it as root with almost no environment (no PATH, no HOME), and a non-zero exit would drain the node.
# Hence: absolute paths, no network, no wait for any service, and exit 0 whatever happens. The note is one JSON file,
# written under another name and renamed, so that the agent never sees half of it. A service that is down reads it later.

event=prolog
conf=/etc/rankshift/rankshift.conf
LC_ALL=C

# Says in the system log why no note was left; Slurm's job goes on.
give_up() {
  /usr/bin/logger -t rankshift-hook -p daemon.warning -- "$event of job ${SLURM_JOB_ID-}: $1" >/dev/null 2>&1
  exit 0
}

# Only fields with a known alphabet go into the note; what does not fit it is left out. A job name never does.
number=
only_number() { case $1 in '' | 0?* | *[!0-9]*) number=0 ;; *) number=$1 ;; esac }
word=
only_word() { case $1 in *[!A-Za-z0-9._@,[\]+-]*) word= ;; *) word=$1 ;; esac }

state=$(/bin/sed -n 's/^[[:space:]]*StateDir[[:space:]]*=[[:space:]]*\(\/[^[:space:]#]*\).*$/\1/p' $conf 2>/dev/null)
spool=${state:-/var/lib/rankshift}/spool/hooks

only_number "${SLURM_JOB_ID-}"
job=$number
[ "$job" -gt 0 ] 2>/dev/null || give_up 'Slurm gave no job id'
[ -d "$spool" ] || give_up "$spool does not exist: has rankshift-agent ever run on this node?"

only_number "${SLURM_JOB_UID-}"
uid=$number
only_word "${SLURM_JOB_USER-}"
user=$word
only_word "${SLURM_JOB_NODELIST:-${SLURM_NODELIST-}}"
nodes=$word
only_word "${SLURMD_NODENAME-}"
node=$word
only_word "${SLURM_CLUSTER_NAME-}"
cluster=$word
now=$(/bin/date +%s%N 2>/dev/null)
case $now in '' | *[!0-9]*) now=$(/bin/date +%s)000000000 ;; esac

file=$spool/$event-$job-$now.json
draft=$spool/.$event-$job-$now.$$
if {
  printf '{"version":1,"event":"%s","job":%s,"uid":%s,"user":"%s","nodes":"%s","node":"%s","cluster":"%s","at":%s}\n' \
    "$event" "$job" "$uid" "$user" "$nodes" "$node" "$cluster" "${now%??????}" >"$draft"
} 2>/dev/null && /bin/mv -f "$draft" "$file" 2>/dev/null; then
  exit 0
fi
/bin/rm -f "$draft" 2>/dev/null
give_up "cannot write to $spool"
