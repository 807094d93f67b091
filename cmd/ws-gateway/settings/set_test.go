package settings

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// example is a command line with each kind of option.
type example struct {
	Name   string        `group:"g" default:"a" oneof:"a,b"`
	Many   []string      `group:"g" oneof:"x,y"`
	Count  int           `group:"g" default:"1" min:"1" max:"9"`
	Bytes  Size          `group:"g" default:"1KiB" min:"1" max:"1MiB"`
	Wait   time.Duration `group:"g" default:"1s" min:"10ms"`
	Secret string        `group:"g" secret:"true"`
	Print  bool          `group:"actions"`
}

// parsed reads a command line, an environment and a file.
func parsed(t *testing.T, args []string, env Environment, file string) (*example, *Set) {
	t.Helper()
	line, set := new(example), New()
	resolver := set.Resolver(env)
	parser, err := kong.New(line, append(set.Mappers(nil), kong.Writers(io.Discard, io.Discard), kong.Resolvers(resolver))...)
	if err != nil {
		t.Fatal(err)
	}
	values := Options(parser.Model.Flags)
	resolver.ReadFile(file, Names(values))
	trace, err := kong.Trace(parser, args)
	if err != nil {
		t.Fatal(err)
	}
	given := Given(trace)
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	set.Take(values, given)
	return line, set
}

func TestASetKnowsWhereItsValuesComeFrom(t *testing.T) {
	line, set := parsed(t, []string{"--name=b", "--print"}, Environment{"WS_GATEWAY_COUNT": "2", "WS_GATEWAY_PRINT": "false"}, "")
	if want := (example{Name: "b", Count: 2, Bytes: 1 << 10, Wait: time.Second, Print: true}); !reflect.DeepEqual(*line, want) {
		t.Errorf("got %+v", *line)
	}
	for option, want := range map[string]Source{"name": FromFlag, "count": "WS_GATEWAY_COUNT", "bytes": FromDefault} {
		if got := set.From(option); got != want {
			t.Errorf("%s is from %s", option, got)
		}
	}
	if names := Names(set.Values); strings.Join(names, " ") != "name many count bytes wait secret" {
		t.Errorf("the options are %q", names)
	}
	if err := errors.Join(set.Mistakes(), set.CheckTags()); err != nil {
		t.Error(err)
	}
}

func TestATextThatIsNoValueIsAMistakeWithItsSource(t *testing.T) {
	line, set := parsed(t, []string{"--count=x"}, Environment{"WS_GATEWAY_BYTES": "1KB"}, "")
	const want = "--bytes \"1KB\" (from WS_GATEWAY_BYTES): must be " + wantSize + "\n--count \"x\" (from flag): must be a whole number"
	if err := set.Mistakes(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if line.Count != 0 || !set.Doubted("count") || set.Certain("name", "count") || !set.Certain("name") {
		t.Errorf("the option is %d, doubted: %v", line.Count, set.Doubted("count"))
	}
	if err := set.CheckTags(); err != nil {
		t.Errorf("what follows from a known mistake is reported: %v", err)
	}
}

func TestTagsBoundValuesAndOneMistakeOfAnOptionIsEnough(t *testing.T) {
	_, set := parsed(t, []string{"--name=c", "--many=x,z", "--count=10", "--bytes=2MiB", "--wait=1ms"}, nil, "")
	err := set.CheckTags()
	for _, want := range []string{
		`--name "c" (from flag): must be a or b`, `--many "z" (from flag): must be x or y`, `--count "10" (from flag): must be at most 9`,
		`--bytes "2MiB" (from flag): must be at most 1MiB`, `--wait "1ms" (from flag): must be at least 10ms`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
	if again := set.Reject("count", "even"); again != nil {
		t.Errorf("reported again: %v", again)
	}
}

func TestNothingIsCertainIfTheFileCannotBeRead(t *testing.T) {
	_, set := parsed(t, nil, nil, "/does/not/exist.yaml")
	if err := set.Mistakes(); err == nil || err.Error() != `--config "/does/not/exist.yaml": no such file or directory` {
		t.Errorf("got %v", err)
	}
	if !set.Blind() || set.Certain("name") {
		t.Error("it may have set any option")
	}
}

func TestAMisspeltNameCastsDoubtOnTheOptionThatWasMeant(t *testing.T) {
	_, set := parsed(t, nil, nil, "")
	set.Misnamed(errors.New("unknown flag --cuont"), "cuont", Names(set.Values))
	if !set.Doubted("count") || set.Doubted("name") {
		t.Error("the wrong option is doubted")
	}
}

func TestASecretIsNotShown(t *testing.T) {
	_, set := parsed(t, []string{"--secret=hush"}, nil, "")
	if v := set.Lookup("secret"); !v.Secret() || v.Shown() != Masked {
		t.Errorf("shown is %q", v.Shown())
	}
	if err := set.Reject("secret", "longer"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
}
