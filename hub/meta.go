package hub

import (
	"context"
	"errors"
	"sync/atomic"

	"ws-gateway/hub/directory"
	"ws-gateway/hub/meta"
	"ws-gateway/netpoll"
)

// ErrNoMeta is returned if connections keep no metadata.
var ErrNoMeta = errors.New("connections keep no metadata: start the gateway with --max-meta")

// ErrMetaMemory is returned for metadata for which Config.GroupMemory has no room.
var ErrMetaMemory = meta.ErrMemory

// MetaLimitError is returned for metadata that is too long.
type MetaLimitError = meta.LimitError

// ParseMeta reads metadata as it stands in a JSON text; nil is none. The error is for the
// caller of the API.
func (h *Hub) ParseMeta(json string) (*meta.Value, error) {
	if h.cfg.Meta == nil {
		return nil, ErrNoMeta
	}
	return h.cfg.Meta.Parse(json)
}

// SetMeta gives the targets metadata in place of what they have, nil for none. Events that
// are first POSTed after it has returned carry it. matched counts the targets.
//
// It is done for all of them or for none: the error is then ErrNoMeta, ErrMetaMemory,
// ErrStopped, or ctx's. If ctx ends while the loops are at work, or they end, some may have
// it. As with Join, calls that overlap may together take more memory than there is.
func (h *Hub) SetMeta(ctx context.Context, t Targets, v *meta.Value) (matched int, err error) {
	store := h.cfg.Meta
	if store == nil {
		return 0, ErrNoMeta
	}
	h.awaitReplies(ctx, t)
	to := h.resolve(t)
	var growth atomic.Int64
	if v != nil {
		_, err := h.visit(ctx, to, readCost, func(_ *loopState, c *netpoll.Conn) { growth.Add(max(store.Growth(uint64(c.ID()), v), 0)) })
		if err != nil {
			return 0, err
		}
	}
	reserved := held{h, growth.Load()}
	if !h.groups.Reserve(reserved.bytes) {
		h.stats.metaOverMemory.Add(1)
		return 0, ErrMetaMemory
	}
	return h.visitThen(ctx, to, readCost, func(ls *loopState, c *netpoll.Conn) {
		store.Put(uint64(c.ID()), h.instance.appendID(ls.connID[:0], c.ID()), v)
	}, reserved)
}

// held is memory of Config.GroupMemory that is put aside.
type held struct {
	h     *Hub
	bytes int64
}

// Release gives it back.
func (r held) Release() { r.h.groups.Release(r.bytes) }

// withMeta has a list show metadata.
func (h *Hub) withMeta(yield func(user string, conns []Info) error) func(user string, conns []Info) error {
	if h.cfg.Meta.Stats().Connections == 0 {
		return yield
	}
	return func(user string, conns []Info) error {
		for i := range conns {
			h.addMeta(&conns[i])
		}
		return yield(user, conns)
	}
}

func (h *Hub) addMeta(info *directory.Info) {
	if id, ok := h.parse(info.ID); ok {
		info.Meta = h.cfg.Meta.Get(uint64(id)).JSON()
	}
}
