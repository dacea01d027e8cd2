#!/usr/bin/env bash
# Ends what up.sh started in DIR, by process id; drained first, since daemons leave the steps of running jobs behind.
dir=$1
export SLURM_CONF="$dir/slurm.conf"
timeout 10 scancel --quiet --user="$(id -un)" 2>/dev/null
for _ in $(seq 50); do [ -z "$(timeout 2 squeue -h 2>/dev/null)" ] && break; sleep 0.2; done
pids=("$dir"/slurmd.pid "$dir"/slurmctld.pid "$dir"/slurmdbd.pid "$dir"/mysql/pid)
[ -e "$dir/munge-is-ours" ] && pids+=(/run/munge/munged.pid)
ended=()
for file in "${pids[@]}"; do [ -s "$file" ] && ended+=("$(cat "$file")"); done
[ ${#ended[@]} = 0 ] || kill "${ended[@]}" 2>/dev/null
for pid in "${ended[@]}"; do timeout 10 tail --pid="$pid" -f /dev/null; done # else they write to a folder that is gone
true
