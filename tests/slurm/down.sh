#!/usr/bin/env bash
# Ends what up.sh started in DIR, by process id; drained first, since daemons leave the steps of running jobs behind.
dir=$1
export SLURM_CONF="$dir/slurm.conf"
scancel --quiet --user="$(id -un)" 2>/dev/null
for _ in $(seq 50); do [ -z "$(timeout 2 squeue -h 2>/dev/null)" ] && break; sleep 0.2; done
pids=("$dir"/slurmd.pid "$dir"/slurmctld.pid "$dir"/slurmdbd.pid "$dir"/mysql/pid)
[ -e "$dir/munge-is-ours" ] && pids+=(/run/munge/munged.pid)
for file in "${pids[@]}"; do [ -s "$file" ] && kill "$(cat "$file")" 2>/dev/null; done
true
