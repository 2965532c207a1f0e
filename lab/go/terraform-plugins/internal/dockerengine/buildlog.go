package dockerengine

import (
	"encoding/json"
	"strings"

	"github.com/docker/docker/pkg/jsonmessage"
	control "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/proto"
)

const (
	traceID    = "moby.buildkit.trace"
	shownLines = 30
)

// buildLog keeps what a build said, to be shown when it fails.
type buildLog struct {
	names map[string]string
	lines []string
	// byStep are the lines of each BuildKit step; failed is the step that ended the build.
	byStep map[string][]string
	failed string
}

func (b *buildLog) take(message jsonmessage.JSONMessage) {
	if message.ID != traceID {
		if text := strings.TrimRight(message.Stream, "\n"); text != "" {
			b.lines = append(b.lines, text)
		}
		return
	}
	var encoded []byte
	var status control.StatusResponse
	if message.Aux == nil || json.Unmarshal(*message.Aux, &encoded) != nil || proto.Unmarshal(encoded, &status) != nil {
		return
	}
	if b.byStep == nil {
		b.byStep, b.names = map[string][]string{}, map[string]string{}
	}
	for _, step := range status.Vertexes {
		b.names[step.Digest] = step.Name
		if step.Error != "" && b.failed == "" {
			b.failed = step.Digest
		}
	}
	for _, output := range status.Logs {
		text := strings.TrimRight(string(output.Msg), "\n")
		b.byStep[output.Vertex] = append(b.byStep[output.Vertex], strings.Split(text, "\n")...)
	}
}

func (b *buildLog) tail() string {
	lines := b.lines
	if b.failed != "" {
		lines = append([]string{b.names[b.failed]}, lastOf(b.byStep[b.failed])...)
	}
	return strings.Join(lastOf(lines), "\n")
}

func lastOf(lines []string) []string {
	return lines[max(0, len(lines)-shownLines):]
}
