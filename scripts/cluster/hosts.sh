#!/bin/bash
# Three hosts on one machine: network namespaces with their own addresses, names and Open MPI daemons, joined by a bridge.
# A fit across them over TCP; a cable is pulled and the fit goes on with the two hosts that are left. Called by cluster.sh:
# hosts.sh DEMARC FOLDER COUNTS
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

# across DEMARC'S ARGUMENTS: on one rank of each of the hosts that are $up
across() {
    "$folder/agent" $network.1 mpirun -q --mca plm rsh --mca plm_rsh_agent "$folder/agent" --bind-to none \
        -n "$(echo $up | wc -w)" --host "$(echo $up | tr ' ' ,)" --mca pml ob1 --mca btl tcp,self \
        --mca btl_tcp_if_include $network.0/24 --mca oob_tcp_if_include $network.0/24 $mca "$demarc" "$@"
}
up="$network.1 $network.2 $network.3" mca=

"$demarc" generate in.h5 --customers 200000 --features 16 --quiet >generate.log || exit 1
"$demarc" fit in.h5 --segments 6 --out alone --quiet >alone.log 2>&1
across fit "$folder/in.h5" --segments 6 --out "$folder/three" --quiet >three.log 2>&1
code=$?
same "a fit across three hosts over TCP: exit code" 0 $code
[ $code -eq 0 ] || tail -n 5 three.log
same "the same digest as on one" "$(digest_of three)" "$(digest_of alone)"
across verify "$folder/three" >verify.log 2>&1
same "verified across them" 0 $?

# A cable is pulled in the middle of a fit, once it has a checkpoint: pulled NAME STALL_TIMEOUT RESTARTS
ranks() { for p in $(processes); do [ "$(readlink /proc/$p/exe)" = "$demarc" ] && echo $p; done; }
no_rank() { [ -z "$(ranks)" ]; }
saved() { [ -e .$name.checkpoint/a ]; }
gone() { ! kill -0 $launcher 2>/dev/null; }
long="--segments 30 --algorithm lloyd --tolerance 0 --init random --checkpoint-every 1"
pulled() {
    name=$1
    across fit "$folder/in.h5" $long --restarts $3 --out "$folder/$1" --stall-timeout $2 >$1.out 2>$1.err &
    launcher=$!
    within 30 saved || failed "the long fit does not start: $(tail -n 1 $1.err)"
    ip -n $tag-gamma link set eth0 down
    begin=$(date +%s)
}

# Enough restarts for some 10 s on one rank; the result of a run that nobody disturbs.
begin=$(date +%s%N)
"$demarc" fit in.h5 $long --restarts 4 --threads 1 --out probe --quiet >probe.log 2>&1 || failed "a fit alone: $(tail -n 1 probe.log)"
restarts=$((4 * 10000 / (($(date +%s%N) - begin) / 1000000) + 4))
"$demarc" fit in.h5 $long --restarts $restarts --out plain --quiet >plain.log 2>&1

# Keepalives shorter than the stall timeout: mpirun sees the loss itself, ends what it reaches, and ends.
mca="--mca oob_tcp_keepalive_time 4 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3"
pulled cut 10 $restarts
if within 20 no_rank; then
    passed "cable pulled: all ranks are gone after $(($(date +%s) - begin)) s of a stall timeout of 10 s"
else
    failed "cable pulled: ranks are left: $(ranks | wc -l)"
fi
if within 20 gone; then
    wait $launcher
    code=$?
    [ $code -ne 0 ] && passed "mpirun ends after $(($(date +%s) - begin)) s, exit code $code" || failed "mpirun: exit code 0"
else
    failed "mpirun goes on without a host"
fi
processes | xargs -r kill -KILL
[ ! -e cut ] && passed "nothing that looks like a result" || failed "a result of a run that was cut"

# The lost host stays lost; the fit goes on with the other two.
up="$network.1 $network.2" mca=
across fit "$folder/in.h5" $long --restarts $restarts --out "$folder/cut" --resume >resume.log 2>&1
same "resumed on the other two hosts: exit code" 0 $?
[ "$(digest_of cut)" ] || tail -n 5 resume.log
echo "  $(grep -m 1 '^resumed' resume.log)"
same "the same digest as of a run that nobody disturbed" "$(digest_of cut)" "$(digest_of plain)"
left=$(ls -d .cut* 2>/dev/null)
[ -z "$left" ] && passed "no checkpoint or temporary file is left" || failed "left behind: $left"
ip -n $tag-gamma link set eth0 up

# Without keepalives the watchdogs are alone: mpirun waits for the lost host's daemon until TCP gives up, a quarter of an hour.
up="$network.1 $network.2 $network.3"
pulled silent 10 5000
if within 20 no_rank; then
    passed "without keepalives: all ranks are gone after $(($(date +%s) - begin)) s of a stall timeout of 10 s"
else
    failed "without keepalives: ranks are left: $(ranks | wc -l)"
fi
if grep -q '^demarc: stalled: rank [0-2] on [a-z]* has waited 1[0-9] s in ' silent.err; then
    passed "and say so: $(grep -m 1 '^demarc: stalled' silent.err)"
else
    failed "no line of the watchdog: $(tail -n 1 silent.err)"
fi
processes | xargs -r kill -KILL
exit 0
