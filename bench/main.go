// Command bench measures what Gatehouse costs, beside floors of the same kind
// in the same minute. The figure is CPU time of the server processes per good
// request (user and system, from the kernel), because on a shared machine that
// is what can be compared; and the ratio to the floor, because that is what
// can be compared between machines.
//
// Floors: F is bare net/http with a static JSON answer; P is a bare
// httputil.ReverseProxy in front of a trivial upstream; V is P behind a check of
// the token by the standard library. All traffic stays on
// loopback, without TLS, over 32 connections that are kept open.
//
//	go run ./bench            # everything of ours, a table on standard output
//	go run ./bench -peers     # and what scripts/bench-peers and the system have beside it
//	go run ./bench -json      # the same as JSON
//	go run ./bench -only gateway-jwt,proxy
//	go run ./bench -growth    # how work grows with what is stored, instead of what requests cost
//	go run ./bench -nodes     # what several nodes on one PostgreSQL cost, instead
//	go run ./bench -render    # no measuring: tables and plots of docs/performance.md from its figures
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	var err error
	if role := os.Getenv(roleVariable); role != "" {
		err = serveRole(role, os.Getenv(backendVariable))
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	flag.StringVar(&o.binary, "gatehouse", "bin/gatehouse", "the program to measure")
	flag.IntVar(&o.rounds, "rounds", 7, "turns of A-B-A-B")
	flag.IntVar(&o.requests, "requests", 8000, "requests per case and turn")
	flag.BoolVar(&o.peers, "peers", false, "measure other programs beside ours; "+peersVariable+" says where they are")
	only := flag.String("only", "", "comma-separated cases")
	asJSON := flag.Bool("json", false, "print JSON")
	out := flag.String("o", "", "write JSON to this file too")
	libraries := flag.String("libraries", "", "add what the comparison in internal/oracles wrote to this file")
	gobench := flag.String("gobench", "", "add what go test -bench printed to this file")
	svg := flag.String("svg", "", "write plots to this directory")
	render := flag.Bool("render", false, "measure nothing; write the tables of -page and its plots from -figures")
	growth := flag.Bool("growth", false, "measure how work grows with what is stored, instead")
	nodes := flag.Bool("nodes", false, "measure what several nodes on one PostgreSQL cost, instead")
	figures := flag.String("figures", "docs/performance/figures.json", "what -render reads")
	page := flag.String("page", "docs/performance.md", "where -render writes tables")
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if *render {
		return renderPage(*figures, *page, filepath.Dir(*figures))
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *growth {
		return runFigures(ctx, o, measureGrowth, growthText, *out)
	}
	if *nodes {
		return runFigures(ctx, o, measureNodes, nodesText, *out)
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if r.Libraries, err = readLibraries(*libraries); err != nil {
		return err
	}
	if r.Parts, err = readGoBench(*gobench); err != nil {
		return err
	}
	r = r.rounded()
	b, err := r.encode()
	if err != nil {
		return err
	}
	if *out != "" {
		if err := os.WriteFile(*out, b, 0o644); err != nil {
			return err
		}
	}
	if *svg != "" {
		if err := writePlots(r, *svg); err != nil {
			return err
		}
	}
	if *asJSON {
		_, err = os.Stdout.Write(b)
		return err
	}
	printTable(r)
	return nil
}

// runFigures prints what is measured, and keeps it at out unless that is "".
func runFigures(ctx context.Context, o options, measure func(context.Context, options) (figureReport, error), text func(figureReport) string, out string) error {
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	fmt.Print(text(r))
	if out == "" {
		return nil
	}
	return r.write(out)
}

// encode is the report as JSON.
func (r report) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(r)
	return b.Bytes(), err
}
