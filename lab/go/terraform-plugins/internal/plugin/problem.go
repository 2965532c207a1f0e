package plugin

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// Problem is an error with a headline, and the attribute it is about.
type Problem struct {
	Path    Path
	Summary string
	Detail  string
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Summary
	}
	return p.Summary + ": " + p.Detail
}

type warningsKey struct{}

type warnings struct {
	mutex sync.Mutex
	found []*tfprotov6.Diagnostic
}

// Warn shows the user a warning beside the outcome of the operation of this context.
func Warn(ctx context.Context, summary, detail string) {
	collected, ok := ctx.Value(warningsKey{}).(*warnings)
	if !ok {
		return
	}
	collected.mutex.Lock()
	defer collected.mutex.Unlock()
	collected.found = append(collected.found, &tfprotov6.Diagnostic{
		Severity: tfprotov6.DiagnosticSeverityWarning, Summary: summary, Detail: detail,
	})
}

func withWarnings(ctx context.Context) (context.Context, *warnings) {
	collected := &warnings{}
	return context.WithValue(ctx, warningsKey{}, collected), collected
}

// diagnostics are the warnings so far and the error, if any, each saying that a stand-in speaks.
func (s *server) diagnostics(collected *warnings, err error) []*tfprotov6.Diagnostic {
	var all []*tfprotov6.Diagnostic
	if collected != nil {
		all = append(all, collected.found...)
	}
	for _, one := range flatten(err) {
		problem := headed(one)
		all = append(all, &tfprotov6.Diagnostic{
			Severity: tfprotov6.DiagnosticSeverityError, Summary: problem.Summary, Detail: problem.Detail,
			Attribute: problem.Path.terraform(),
		})
	}
	for _, diagnostic := range all {
		diagnostic.Summary += " (lab stand-in)"
		if diagnostic.Detail != "" {
			diagnostic.Detail += "\n\n"
		}
		diagnostic.Detail += "Reported by the " + s.plugin.Label() + "."
	}
	return all
}

const longestSummary = 80

// headed gives a long plain error a headline: what stands before its first colon.
func headed(err error) *Problem {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem
	}
	whole := err.Error()
	if headline, _, found := strings.Cut(whole, ": "); found && len(whole) > longestSummary {
		return &Problem{Summary: headline, Detail: whole}
	}
	return &Problem{Summary: whole}
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, flatten(one)...)
		}
		return all
	}
	return []error{err}
}
