package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// loadConfig reads the configuration at path; where there is none, it says how to get one.
func (a *app) loadConfig(path string) (server.Config, error) {
	cfg, err := server.LoadConfig(path, a.environ)
	return cfg, a.loadError(path, err)
}

// loadError is what a command says of a configuration that cannot be used.
func (a *app) loadError(path string, err error) error {
	var problems *config.Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		return problems
	case errors.Is(err, fs.ErrNotExist):
		return usagef("%s: there is no such file; `gatehouse init` makes one, and --config names another", path)
	}
	return usagef("%v", err)
}

// problemsCode is the exit code for a configuration that cannot be used: a database
// that is away at the moment is no mistake in it.
func problemsCode(p *config.Problems) int {
	for _, e := range p.List {
		if gatehouse.KindOf(e.Err) != gatehouse.Unavailable {
			return exitUsage
		}
	}
	return exitUnavailable
}

// printProblems tells all that is wrong, one a line, as compilers do.
func (a *app) printProblems(p *config.Problems) {
	if !a.json {
		fmt.Fprintf(a.errOut, "gatehouse: %s\n", paragraph(a.calls(p.Error())))
		return
	}
	list := make([]object, len(p.List))
	for i, e := range p.List {
		list[i] = object{"key": e.Key, "line": e.Line, "column": e.Column, "message": e.Err.Error()}
	}
	enc := json.NewEncoder(a.errOut)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(object{"error": "config_invalid", "file": p.File, "message": p.Error(), "problems": list})
}
