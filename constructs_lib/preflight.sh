# Exits 0 when this machine can become the wanted node; changes nothing. All findings are printed, each with its fix.
# Arguments: the operator's time, and the names of the fleet's other nodes in one word list.
: "${NODE:?}" "${ROLE:?}" "${ARCHITECTURE:?}" "${MINIMUM_FREE_MIB:?}" "${MINIMUM_MEMORY_MIB:?}"
: "${MAXIMUM_CLOCK_SKEW_SECONDS:?}" "${ETCD:?}" "${GPUS:?}" "${DRIVER_MODE:?}" "${REPORT:?}"
# Who runs K3s: systemd, or for a proof on a machine without it, a stand-in that lasts as long as the proof.
: "${SUPERVISOR:=systemd}"
OPERATOR_TIME=${1:-}
OTHER_NODES=${2:-}
# include: shared_findings.sh
# include: shared_node_findings.sh
# include: shared_k3s_findings.sh
# include: shared_gpu_findings.sh

node_findings
k3s_findings
if [ "$GPUS" -gt 0 ]; then gpu_findings; fi

if [ "$REPORT" = json ]; then
    findings_as_json
    exit 0
fi
show_findings
say "$((PASSED + ERRORS + WARNINGS)) results: $PASSED ok, $WARNINGS warnings, $ERRORS errors; $(system_in_words)"
[ "$ERRORS" -eq 0 ]
