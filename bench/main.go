// Command bench measures what Gatehouse costs, beside floors of the same kind
// in the same minute. The figure is CPU time of the server process per good
// request (user and system, from the kernel), because on a shared machine that
// is what can be compared; and the ratio to the floor, because that is what
// can be compared between machines.
//
// Floors: F is bare net/http with a static JSON answer; P is a bare
// httputil.ReverseProxy in front of a trivial upstream. All traffic stays on
// loopback, without TLS, over 32 connections that are kept open.
//
//	go run ./bench            # everything, a table on standard output
//	go run ./bench -json      # the same as JSON
//	go run ./bench -only gateway-jwt,proxy
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	if role := os.Getenv("GATEHOUSE_BENCH_ROLE"); role != "" {
		if err := serveFloor(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	binary := flag.String("gatehouse", "bin/gatehouse", "the program to measure")
	rounds := flag.Int("rounds", 5, "turns of A-B-A-B")
	requests := flag.Int("requests", 4000, "requests per case and turn")
	asJSON := flag.Bool("json", false, "print JSON")
	only := flag.String("only", "", "comma-separated cases")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	results, err := measure(ctx, options{binary: *binary, rounds: *rounds, requests: *requests, only: *only})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		_ = enc.Encode(results)
		return
	}
	printTable(results)
}

func printTable(r report) {
	fmt.Printf("%s, %d CPUs, %s; %d turns of %d requests; CPU µs of the server process per good request\n\n",
		runtime.Version(), runtime.NumCPU(), time.Now().UTC().Format("2006-01-02"), r.Rounds, r.Requests)
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "case\tmedian\tleast\tfloor\tratio\tmust\t\t")
	for _, c := range r.Cases {
		ratio, must, verdict := "", "", ""
		if c.Floor != "" {
			ratio = fmt.Sprintf("%.2f", c.Ratio)
		}
		switch {
		case c.MustRatio > 0:
			must = fmt.Sprintf("≤ %.2f×", c.MustRatio)
			verdict = "missed"
			if c.Ratio <= c.MustRatio {
				verdict = "holds"
			}
		case c.MustMicros > 0:
			must = fmt.Sprintf("≤ %.0f µs", c.MustMicros)
			verdict = "missed"
			if c.Least <= c.MustMicros {
				verdict = "holds"
			}
		}
		fmt.Fprintf(tw, "%s\t%.1f\t%.1f\t%s\t%s\t%s\t%s\t\n", c.Name, c.Median, c.Least, c.Floor, ratio, must, verdict)
	}
	_ = tw.Flush()
	fmt.Println()
	for _, f := range r.Process {
		verdict := "missed"
		if f.Value <= f.Must {
			verdict = "holds"
		}
		fmt.Printf("%-28s %8.1f %-4s ≤ %.0f  %s\n", f.Name, f.Value, f.Unit, f.Must, verdict)
	}
	if len(r.Failed) > 0 {
		fmt.Printf("\nrequests that did not get the expected answer: %s\n", strings.Join(r.Failed, ", "))
	}
}
