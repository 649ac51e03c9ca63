package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/pages"
)

func (a *app) uiCommand() *cobra.Command {
	c := &cobra.Command{Use: "ui", Short: "The pages that people see"}
	c.AddCommand(a.galleryCommand(), a.exportPagesCommand())
	return c
}

func (a *app) galleryCommand() *cobra.Command {
	var listen, overrides string
	c := &cobra.Command{
		Use:   "gallery",
		Short: "Show every page in every state, with made-up people",
		Long: `Serves every page in every state on this machine, with made-up people: nothing is stored, and nobody is asked for anything.
With --overrides the texts and templates of that directory take the place of the program's, as pages.overrides has them do.
It runs until Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
				_ = l.Close()
				return usagef("--listen %s: pages of people who do not exist are shown on this machine alone, such as 127.0.0.1:8090", listen)
			}
			var worn *pages.Overrides
			if overrides != "" {
				if worn, err = pages.ReadOverrides(overrides); err != nil {
					_ = l.Close()
					return usagef("--overrides: %v", err)
				}
			}
			h, err := pages.NewGallery(worn)
			if err != nil {
				return err
			}
			s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
			go func() {
				<-c.Context().Done()
				_ = s.Close()
			}()
			url := "http://" + l.Addr().String()
			if err := a.print(object{"url": url}, func(w io.Writer) { fmt.Fprintf(w, "Open %s in a browser. Stop with Ctrl-C.\n", url) }); err != nil {
				return err
			}
			_ = s.Serve(l) // until it is told to stop
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "address, of this machine")
	c.Flags().StringVar(&overrides, "overrides", "", "directory with texts and templates of yours")
	return c
}

func (a *app) exportPagesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR",
		Short: "Write the texts and templates of all pages, to change them",
		Long: `Writes the texts (texts/LANGUAGE.json) and templates (templates/PAGE.html) of this version into a directory, which it makes
where there is none. No file is written over. Change what you like, remove what you do not change, look at it with
gatehouse ui gallery --overrides DIR, and name the directory in pages.overrides.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := pages.Export(args[0]); err != nil {
				return err
			}
			return a.print(object{"directory": args[0]}, func(w io.Writer) {
				fmt.Fprintf(w, "The texts and templates of this version are in %s.\n", args[0])
			})
		},
	}
}
