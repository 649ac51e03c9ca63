// Command gatehouse is the whole of Gatehouse: the server and everything to
// administer it. `gatehouse help` lists the commands; each is in a file of its
// own. The commands that change something talk to a running server through its
// management API (/admin/v1), as the same use cases that anybody else calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// version is set by the linker (see Makefile).
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(code)
}

// run is main without the process: tests call it. The first of args is how the program
// was called, as in os.Args.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer, environ []string) int {
	a := &app{in: in, out: out, errOut: errOut, environ: environ, called: args[0]}
	root := a.command()
	root.SetArgs(operands(root, args[1:]))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if left := a.leave(ctx); err == nil {
		err = left
	}
	if err == nil {
		return a.waited()
	}
	var quiet *silentError
	if !errors.As(err, &quiet) {
		a.printError(err)
		if near := a.suggestion(ctx, err, words(root, args[1:])); near != "" && !a.json {
			fmt.Fprintf(errOut, "  did you mean %s?\n", printable(near))
		}
	}
	return exitCode(err)
}

// Exit codes, for scripts.
const (
	exitOK          = 0
	exitFailure     = 1 // anything else
	exitUsage       = 2 // wrong command, flag or input
	exitDenied      = 3 // not authenticated or not allowed; a token that does not verify
	exitNotFound    = 4
	exitConflict    = 5
	exitUnavailable = 6 // the server cannot be reached or is overloaded
	exitPending     = 7 // --wait: done, and a node may still answer without the change
	exitUnproven    = 8 // --wait: done, and nothing is known of the other nodes
)

func exitCode(err error) int {
	var quiet *silentError
	if errors.As(err, &quiet) {
		return quiet.code
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var problems *config.Problems
	if errors.As(err, &problems) {
		return problemsCode(problems)
	}
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return exitFailure
	}
	switch e.Kind {
	case gatehouse.Invalid, gatehouse.Unprocessable, gatehouse.TooLarge, gatehouse.Unsupported:
		return exitUsage
	case gatehouse.Unauthenticated, gatehouse.Denied:
		return exitDenied
	case gatehouse.NotFound:
		return exitNotFound
	case gatehouse.Conflict:
		return exitConflict
	case gatehouse.Unavailable, gatehouse.RateLimited, gatehouse.BadGateway, gatehouse.GatewayTimeout:
		return exitUnavailable
	}
	return exitFailure
}

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// silentError ends with a code after the command has already said everything.
type silentError struct{ code int }

func (e *silentError) Error() string { return "" }
