// Package chart draws the few charts of a bench report as SVG for the inside of an
// HTML page: lines, bars with their spread, and strips of dots for table cells.
// It knows nothing about what is measured, asks for no font and no script, and
// draws the same picture for the same data.
//
// Everything is coloured by classes, which CSS defines for light and dark; what
// a colour tells apart a marker's shape or a label does too. Values must be
// finite and at most 10^15 in size.
package chart
