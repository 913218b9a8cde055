#!/bin/bash
# Three hosts on one machine: network namespaces with their own addresses, names and Open MPI daemons, joined by a bridge.
# A fit across them over TCP; then a cable is pulled. Called by cluster.sh: hosts.sh DEMARC FOLDER COUNTS
#
# mpirun starts its daemons through a launch agent that stands in for ssh: `ip netns exec` the namespace, with a host name
# of its own, so that Open MPI sees three machines and uses neither shared memory nor the loopback between them.
set -u
demarc=$1 folder=$2 counts=$3
here=$(cd "$(dirname "$0")" && pwd)
. "$here/checks.sh"
echo "Three hosts, by network namespaces"

[ "$(id -u)" -eq 0 ] || { skipped "hosts: network namespaces need root"; exit 0; }
for tool in ip unshare mpirun; do
    command -v $tool >/dev/null || { skipped "hosts: there is no $tool (Debian: iproute2, util-linux, openmpi-bin)"; exit 0; }
done

cd "$folder" || exit 1
tag=demarc$$
hosts="alpha beta gamma"
network=10.77.0
processes() { for host in $hosts; do ip netns pids $tag-$host 2>/dev/null; done; }
remove() {
    processes | xargs -r kill -KILL 2>/dev/null
    for name in $hosts switch; do ip netns del $tag-$name 2>/dev/null; done
}
trap remove EXIT

make() {
    ip netns add $tag-switch && ip -n $tag-switch link add bridge type bridge && ip -n $tag-switch link set bridge up || return
    number=0
    for host in $hosts; do
        number=$((number + 1))
        ip netns add $tag-$host &&
            ip -n $tag-switch link add $host type veth peer name eth0 netns $tag-$host &&
            ip -n $tag-switch link set $host master bridge up &&
            ip -n $tag-$host link set lo up &&
            ip -n $tag-$host addr add $network.$number/24 dev eth0 &&
            ip -n $tag-$host link set eth0 up || return
    done
}
make 2>make.err || { skipped "hosts: this kernel makes no network namespaces: $(tail -n 1 make.err)"; exit 0; }

cat >agent <<END
#!/bin/sh
# agent ADDRESS COMMAND...: as ssh would
case \$1 in $network.1) host=alpha ;; $network.2) host=beta ;; *) host=gamma ;; esac
shift
exec ip netns exec $tag-\$host unshare --uts sh -c "hostname \$host; exec \$*"
END
chmod +x agent

# across [MCA OPTIONS --] DEMARC ARGUMENTS: on one rank of each host
across() {
    "$folder/agent" $network.1 mpirun -q --mca plm rsh --mca plm_rsh_agent "$folder/agent" --bind-to none -n 3 \
        --host $network.1,$network.2,$network.3 --mca pml ob1 --mca btl tcp,self \
        --mca btl_tcp_if_include $network.0/24 --mca oob_tcp_if_include $network.0/24 $mca "$demarc" "$@"
}
mca=

"$demarc" generate in.h5 --customers 200000 --features 16 --quiet >generate.log || exit 1
"$demarc" fit in.h5 --segments 6 --out alone --quiet >alone.log 2>&1
across fit "$folder/in.h5" --segments 6 --out "$folder/three" --quiet >three.log 2>&1
code=$?
same "a fit across three hosts over TCP: exit code" 0 $code
[ $code -eq 0 ] || tail -n 5 three.log
same "the same digest as on one" "$(digest_of three)" "$(digest_of alone)"
across verify "$folder/three" >verify.log 2>&1
same "verified across them" 0 $?

# A cable is pulled in the middle of a long fit: pulled NAME STALL_TIMEOUT
ranks() { for p in $(processes); do [ "$(readlink /proc/$p/exe)" = "$demarc" ] && echo $p; done; }
three_ranks() { [ "$(ranks | wc -l)" -eq 3 ]; }
no_rank() { [ -z "$(ranks)" ]; }
pulled() {
    across fit "$folder/in.h5" --segments 30 --algorithm lloyd --tolerance 0 --restarts 5000 --out "$folder/$1" \
        --stall-timeout $2 >$1.out 2>$1.err &
    launcher=$!
    within 30 three_ranks && sleep 3 || failed "the long fit does not start: $(tail -n 1 $1.err)"
    ip -n $tag-gamma link set eth0 down
    begin=$(date +%s)
}

# The watchdogs alone: mpirun waits for the daemon of the lost host until TCP gives up, a quarter of an hour.
pulled cut 10
if within 20 no_rank; then
    passed "cable pulled: all ranks are gone after $(($(date +%s) - begin)) s of a stall timeout of 10 s"
else
    failed "cable pulled: ranks are left: $(ranks | wc -l)"
fi
if grep -q '^demarc: stalled: rank [0-2] on [a-z]* has waited 1[0-9] s in ' cut.err; then
    passed "and say so: $(grep -m 1 '^demarc: stalled' cut.err)"
else
    failed "no line of the watchdog: $(tail -n 1 cut.err)"
fi
processes | xargs -r kill -KILL
wait $launcher 2>/dev/null
ip -n $tag-gamma link set eth0 up
[ ! -e cut ] && passed "nothing that looks like a result" || failed "a result of a run that was cut"

# With keepalives shorter than the stall timeout mpirun itself sees the loss and ends everything.
mca="--mca oob_tcp_keepalive_time 4 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3"
pulled keepalive 30
gone() { ! kill -0 $launcher 2>/dev/null; }
if within 40 gone; then
    wait $launcher
    code=$?
    [ $code -ne 0 ] && passed "with keepalives mpirun ends after $(($(date +%s) - begin)) s, exit code $code" || failed "mpirun: exit code 0"
    within 20 no_rank || failed "ranks are left: $(ranks | wc -l)"
else
    failed "mpirun goes on without a host"
fi
exit 0
