package interest

// Digest says what an instance has told: which changes, and a sum over the hashes that
// it has. Two of the same version that differ show that a change was missed.
type Digest struct {
	Version uint64 // how many changes it has told
	Count   uint64 // hashes that it has
	Sum     uint64 // of all of them, in any order
}

func (d *Digest) add(h Hash) {
	d.Count++
	d.Sum += mix(h)
}

func (d *Digest) remove(h Hash) {
	d.Count--
	d.Sum -= mix(h)
}

// mix makes 64 bits of a hash, so that sums of different hashes differ. The constants
// are those of MurmurHash3's last step. All versions must do the same.
func mix(h Hash) uint64 {
	x := uint64(h)
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
