// Package manifests checks the Kubernetes examples against the types of the API,
// without a cluster: no unknown field, no field twice, and the times that must fit
// each other do.
package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// documents returns the objects of a file of manifests.
func documents(t *testing.T, path string) (objects []runtime.Object) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, decode(t, path, document))
	}
}

func decode(t *testing.T, path string, document []byte) runtime.Object {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var object runtime.Object
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 Deployment":
		object = new(appsv1.Deployment)
	case "apps/v1 StatefulSet":
		object = new(appsv1.StatefulSet)
	case "v1 Service":
		object = new(corev1.Service)
	case "v1 ConfigMap":
		object = new(corev1.ConfigMap)
	case "networking.k8s.io/v1 NetworkPolicy":
		object = new(networkingv1.NetworkPolicy)
	default:
		t.Fatalf("%s: %s %s is not known here", path, kind.APIVersion, kind.Kind)
	}
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		t.Fatalf("%s: %s: %v", path, kind.Kind, err)
	}
	return object
}

// replicas are what a Deployment and a StatefulSet have in common.
type replicas struct {
	selector *metav1.LabelSelector
	pod      corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
}

func replicasOf(t *testing.T, o runtime.Object) *replicas {
	t.Helper()
	switch o := o.(type) {
	case *appsv1.Deployment:
		return &replicas{o.Spec.Selector, o.Spec.Template, nil}
	case *appsv1.StatefulSet:
		return &replicas{o.Spec.Selector, o.Spec.Template, o.Spec.VolumeClaimTemplates}
	default:
		t.Fatalf("%T has no pods", o)
		return nil
	}
}

// has reports whether the pods have a volume.
func (r *replicas) has(volume string) bool {
	return slices.ContainsFunc(r.claims, func(c corev1.PersistentVolumeClaim) bool { return c.Name == volume }) ||
		slices.ContainsFunc(r.pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
}

// apps runs a test for each example's app: the pod with the gateway, and the service that
// clients come through.
func apps(t *testing.T, test func(t *testing.T, r *replicas, service *corev1.Service)) {
	for _, file := range []string{"sidecar.yaml", "cluster.yaml", "statefulset.yaml"} {
		t.Run(file, func(t *testing.T) {
			objects := documents(t, "../../kubernetes/"+file)
			test(t, replicasOf(t, objects[0]), objects[1].(*corev1.Service))
		})
	}
}

func container(t *testing.T, r *replicas, name string) corev1.Container {
	t.Helper()
	containers := r.pod.Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no container %s", name)
	}
	return containers[i]
}

// option returns the value of a duration among the gateway's arguments.
func option(t *testing.T, c corev1.Container, name string) time.Duration {
	t.Helper()
	for _, arg := range c.Args {
		if text, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatalf("no --%s", name)
	return 0
}

func TestManifestsHaveNoUnknownFieldAndNoneTwice(t *testing.T) {
	files, err := filepath.Glob("../../kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests, %v", err)
	}
	for _, file := range files {
		documents(t, file)
	}
}

func TestThePodOutlivesTheShutdownAndTheAppOutlivesTheGatewaysEvents(t *testing.T) {
	apps(t, func(t *testing.T, r *replicas, _ *corev1.Service) {
		gateway, app := container(t, r, "ws-gateway"), container(t, r, "app")
		grace := time.Duration(*r.pod.Spec.TerminationGracePeriodSeconds) * time.Second
		timeout := option(t, gateway, "shutdown-timeout")
		if grace < timeout+5*time.Second {
			t.Errorf("the pod is killed after %v, and the gateway may take %v", grace, timeout)
		}
		if sum := option(t, gateway, "drain-delay") + option(t, gateway, "drain-period"); sum >= timeout {
			t.Errorf("draining takes %v of %v", sum, timeout)
		}
		stay := time.Duration(app.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		if stay < timeout || stay >= grace {
			t.Errorf("the app stays for %v; the gateway may send it events for %v, and the pod is killed after %v", stay, timeout, grace)
		}
	})
}

func TestTheGatewayMayDoNothingThatItNeedNot(t *testing.T) {
	apps(t, func(t *testing.T, r *replicas, _ *corev1.Service) {
		pod, own := r.pod.Spec.SecurityContext, container(t, r, "ws-gateway").SecurityContext
		switch {
		case !*pod.RunAsNonRoot || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
			t.Error("the pod may run as root, or without seccomp")
		case *own.AllowPrivilegeEscalation || !*own.ReadOnlyRootFilesystem || *own.RunAsUser == 0:
			t.Error("the gateway may gain rights or write where it need not")
		case len(own.Capabilities.Drop) != 1 || own.Capabilities.Drop[0] != "ALL" || len(own.Capabilities.Add) != 0:
			t.Error("the gateway has capabilities")
		}
	})
}

func TestProbesAndServiceNameAPortThatIsThere(t *testing.T) {
	apps(t, func(t *testing.T, r *replicas, service *corev1.Service) {
		gateway := container(t, r, "ws-gateway")
		var ports []string
		for _, port := range gateway.Ports {
			ports = append(ports, port.Name)
			for _, problem := range validation.IsValidPortName(port.Name) {
				t.Error(problem)
			}
		}
		for name, probe := range map[string]*corev1.Probe{"/healthz": gateway.LivenessProbe, "/readyz": gateway.ReadinessProbe} {
			if get := probe.HTTPGet; get.Path != name || !slices.Contains(ports, get.Port.StrVal) {
				t.Errorf("a probe asks %s at port %s", get.Path, get.Port.StrVal)
			}
		}
		if !slices.Contains(ports, service.Spec.Ports[0].TargetPort.StrVal) {
			t.Error("the service's port is none of the gateway's")
		}
		for key, value := range service.Spec.Selector {
			if r.pod.Labels[key] != value || r.selector.MatchLabels[key] != value {
				t.Errorf("the service selects %s=%s, which the pod has not", key, value)
			}
		}
		for _, mount := range gateway.VolumeMounts {
			if !r.has(mount.Name) {
				t.Errorf("no volume %s", mount.Name)
			}
		}
	})
}

func TestTheIngressIsNotGivenThePortOfManagement(t *testing.T) {
	apps(t, func(t *testing.T, r *replicas, service *corev1.Service) {
		gateway := container(t, r, "ws-gateway")
		i := slices.IndexFunc(gateway.Env, func(e corev1.EnvVar) bool { return e.Name == "WS_GATEWAY_ADMIN_LISTEN" })
		if i < 0 || !strings.HasPrefix(gateway.Env[i].Value, "127.0.0.1:") {
			t.Fatal("management has no loopback address of its own")
		}
		_, management, _ := strings.Cut(gateway.Env[i].Value, ":")
		for _, port := range gateway.Ports {
			if strconv.Itoa(int(port.ContainerPort)) == management {
				t.Errorf("the port %s is management's", port.Name)
			}
			if port.Name == "metrics" && !slices.Contains(gateway.Args, "--metrics-listen=:"+strconv.Itoa(int(port.ContainerPort))) {
				t.Errorf("nobody listens at the port %d", port.ContainerPort)
			}
		}
		if to := service.Spec.Ports[0].TargetPort.StrVal; to != "websocket" || len(service.Spec.Ports) != 1 {
			t.Errorf("the service leads to %s", to)
		}
		reserved := r.pod.Spec.SecurityContext.Sysctls[0].Value
		for _, port := range []string{"40010", "40012"} {
			if !strings.Contains(reserved, port) || management < "40010" || management > "40012" {
				t.Errorf("%s are reserved, and the gateway needs %s and %s", reserved, port, management)
			}
		}
	})
}

func TestAFieldThatTheAPIDoesNotKnowIsNoticed(t *testing.T) {
	good := "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n"
	if err := yaml.UnmarshalStrict([]byte(good), new(corev1.Service)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{good + "spek: {}\n", strings.Replace(good, "port:", "prot:", 1), good + "kind: Service\n", strings.Replace(good, "port: 1", "port: one", 1)} {
		if yaml.UnmarshalStrict([]byte(bad), new(corev1.Service)) == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

func TestOnlyTheAppsPodsReachNATSWhichKnowsTheirSubjects(t *testing.T) {
	objects := documents(t, "../../kubernetes/cluster.yaml")
	app, config := replicasOf(t, objects[0]), objects[2].(*corev1.ConfigMap)
	nats, service, policy := replicasOf(t, objects[3]), objects[4].(*corev1.Service), objects[5].(*networkingv1.NetworkPolicy)
	gateway := container(t, app, "ws-gateway")
	cluster := gateway.Env[slices.IndexFunc(gateway.Env, func(e corev1.EnvVar) bool { return e.Name == "WS_GATEWAY_CLUSTER" })]
	if want := "nats://gateway:$(NATS_PASSWORD)@" + service.Name + ":" + strconv.Itoa(int(service.Spec.Ports[0].Port)); cluster.Value != want {
		t.Errorf("the gateways go to %s, want %s", cluster.Value, want)
	}
	i := slices.IndexFunc(gateway.Args, func(a string) bool { return strings.HasPrefix(a, "--cluster-app=") })
	name := strings.TrimPrefix(gateway.Args[i], "--cluster-app=")
	if text := config.Data["nats.conf"]; !strings.Contains(text, `publish: "wsg.`+name+`.>", subscribe: "wsg.`+name+`.>"`) {
		t.Errorf("the permissions are not those of %s:\n%s", name, text)
	}
	labels, from := nats.pod.Labels, policy.Spec.Ingress[0].From
	for _, selector := range []map[string]string{service.Spec.Selector, policy.Spec.PodSelector.MatchLabels, nats.selector.MatchLabels} {
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("%s=%s is selected, which NATS is not", key, value)
			}
		}
	}
	for key, value := range from[0].PodSelector.MatchLabels {
		if len(from) != 1 || app.pod.Labels[key] != value {
			t.Errorf("%s=%s may reach NATS, which the app is not", key, value)
		}
	}
	if container(t, nats, "nats").VolumeMounts[0].Name != nats.pod.Spec.Volumes[0].Name || nats.pod.Spec.Volumes[0].ConfigMap.Name != config.Name {
		t.Error("NATS does not get its configuration")
	}
}

// The file of sessions is on a volume of the pod's own that comes back with its name, and
// stays the gateway's alone when the volume is mounted again.
func TestTheSessionsOfAStatefulSetComeBackWithItsPod(t *testing.T) {
	objects := documents(t, "../../kubernetes/statefulset.yaml")
	set, governing := objects[0].(*appsv1.StatefulSet), objects[2].(*corev1.Service)
	r := replicasOf(t, set)
	gateway, pod := container(t, r, "ws-gateway"), r.pod.Spec.SecurityContext
	for _, name := range []string{"resume-state", "journal"} {
		i := slices.IndexFunc(gateway.Args, func(a string) bool { return strings.HasPrefix(a, "--"+name+"=") })
		path := strings.TrimPrefix(gateway.Args[i], "--"+name+"=")
		m := slices.IndexFunc(gateway.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(path, m.MountPath+"/") && !m.ReadOnly })
		if m < 0 || !slices.ContainsFunc(r.claims, func(c corev1.PersistentVolumeClaim) bool { return c.Name == gateway.VolumeMounts[m].Name }) {
			t.Errorf("%s is on no volume of the pod's own", path)
		}
	}
	for _, c := range r.claims {
		if len(c.Spec.AccessModes) != 1 || c.Spec.AccessModes[0] != corev1.ReadWriteOnce || c.Spec.Resources.Requests.Storage().IsZero() {
			t.Errorf("the claim is %+v", c.Spec)
		}
	}
	if *pod.FSGroup != *gateway.SecurityContext.RunAsGroup || *pod.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch {
		t.Error("the gateway cannot write there, or finds its file readable by others")
	}
	if option(t, gateway, "resume-for") <= time.Duration(*r.pod.Spec.TerminationGracePeriodSeconds)*time.Second {
		t.Error("sessions end while the pod does")
	}
	if set.Spec.ServiceName != governing.Name || governing.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the pods' names are of %s", set.Spec.ServiceName)
	}
}
