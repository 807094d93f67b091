package main

import "github.com/rs/zerolog"

func (p *process) runDemo(cfg *config, log zerolog.Logger) error { return p.run(cfg, log) }
