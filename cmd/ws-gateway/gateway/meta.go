package gateway

import "ws-gateway/hub/meta"

// keepMeta makes what keeps the connections' metadata, if they may have some. The journal
// records it, so that the close event of a lost connection has it.
func (g *Gateway) keepMeta() {
	if g.cfg.MaxMeta == 0 {
		return
	}
	g.meta = meta.New(int(g.cfg.MaxMeta))
	if g.recovery != nil {
		j := g.recovery.journal
		g.meta.Changed = func(id []byte, number uint64, v *meta.Value) { j.Meta(id, number, []byte(v.JSON())) }
	} else if g.takeover != nil {
		g.meta.Changed = func(id []byte, number uint64, v *meta.Value) { g.takeover.Meta(id, number, []byte(v.JSON())) }
	}
}
