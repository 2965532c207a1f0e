# Findings of checks that change nothing: collected first, shown together. No finding holds a tab or a line end.

RESULTS=
FACTS=
ERRORS=0
WARNINGS=0
PASSED=0

# flat TEXT: on one line, because a finding is one line of $RESULTS.
flat() { printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037'; }

# check NAME: begins a check; `checked` ends it.
check() {
    CHECK=$1
    FOUND=0
}

# finding error|warning WHAT CAUSE FIX
finding() {
    FOUND=1
    case $1 in
    error) ERRORS=$((ERRORS + 1)) ;;
    *) WARNINGS=$((WARNINGS + 1)) ;;
    esac
    record "$@"
}

# checked SEEN: what was seen, when nothing was found.
checked() {
    [ "$FOUND" -eq 0 ] || return 0
    PASSED=$((PASSED + 1))
    record ok "$1" "" ""
}

record() {
    RESULTS="$RESULTS$1	$CHECK	$(flat "$2")	$(flat "$3")	$(flat "$4")
"
}

# fact NAME VALUE: something that is compared between nodes.
fact() {
    FACTS="$FACTS$1	$(flat "$2")
"
}

# show_findings: what is not well as a table on stdout, then each with cause and fix on stderr.
show_findings() {
    [ $((ERRORS + WARNINGS)) -gt 0 ] || return 0
    printf '%s' "$RESULTS" | awk -F '\t' -v node="$NODE" -v step="$STEP" '
        function row(severity, check, what) { printf "%s %s: %-8s %-14s %s\n", node, step, severity, check, what }
        BEGIN { row("RESULT", "CHECK", "FINDING") }
        $1 != "ok" { row($1, $2, $3) }'
    printf '%s' "$RESULTS" | awk -F '\t' -v node="$NODE" -v step="$STEP" '
        $1 != "ok" { printf "%s node=%s step=%s: %s\n  cause: %s\n  fix: %s\n", toupper($1), node, step, $3, $4, $5 }' >&2
}

# findings_as_json: all checks and facts as one JSON object on one line.
findings_as_json() {
    printf '{"node": "%s", "facts": {' "$NODE"
    printf '%s' "$FACTS" | sed 's/\\/\\\\/g; s/"/\\"/g' |
        awk -F '\t' '{ printf "%s\"%s\": \"%s\"", (NR > 1 ? ", " : ""), $1, $2 }'
    printf '}, "checks": ['
    printf '%s' "$RESULTS" | sed 's/\\/\\\\/g; s/"/\\"/g' | awk -F '\t' '{
        printf "%s{\"result\": \"%s\", \"check\": \"%s\", \"what\": \"%s\", \"cause\": \"%s\", \"fix\": \"%s\"}",
            (NR > 1 ? ", " : ""), $1, $2, $3, $4, $5 }'
    printf ']}\n'
}
