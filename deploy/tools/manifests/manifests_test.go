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

// apps runs a test for each example's app: the pod with the gateway, and the service that
// clients come through.
func apps(t *testing.T, test func(t *testing.T, d *appsv1.Deployment, service *corev1.Service)) {
	for _, file := range []string{"sidecar.yaml", "cluster.yaml"} {
		t.Run(file, func(t *testing.T) {
			objects := documents(t, "../../kubernetes/"+file)
			test(t, objects[0].(*appsv1.Deployment), objects[1].(*corev1.Service))
		})
	}
}

func container(t *testing.T, d *appsv1.Deployment, name string) corev1.Container {
	t.Helper()
	containers := d.Spec.Template.Spec.Containers
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
	apps(t, func(t *testing.T, d *appsv1.Deployment, _ *corev1.Service) {
		gateway, app := container(t, d, "ws-gateway"), container(t, d, "app")
		grace := time.Duration(*d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
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
	apps(t, func(t *testing.T, d *appsv1.Deployment, _ *corev1.Service) {
		pod, own := d.Spec.Template.Spec.SecurityContext, container(t, d, "ws-gateway").SecurityContext
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
	apps(t, func(t *testing.T, d *appsv1.Deployment, service *corev1.Service) {
		gateway := container(t, d, "ws-gateway")
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
			if d.Spec.Template.Labels[key] != value || d.Spec.Selector.MatchLabels[key] != value {
				t.Errorf("the service selects %s=%s, which the pod has not", key, value)
			}
		}
		for _, mount := range gateway.VolumeMounts {
			if !slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
				t.Errorf("no volume %s", mount.Name)
			}
		}
	})
}

func TestTheIngressIsNotGivenThePortOfManagement(t *testing.T) {
	apps(t, func(t *testing.T, d *appsv1.Deployment, service *corev1.Service) {
		gateway := container(t, d, "ws-gateway")
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
		reserved := d.Spec.Template.Spec.SecurityContext.Sysctls[0].Value
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
	app, config := objects[0].(*appsv1.Deployment), objects[2].(*corev1.ConfigMap)
	nats, service, policy := objects[3].(*appsv1.Deployment), objects[4].(*corev1.Service), objects[5].(*networkingv1.NetworkPolicy)
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
	labels, from := nats.Spec.Template.Labels, policy.Spec.Ingress[0].From
	for _, selector := range []map[string]string{service.Spec.Selector, policy.Spec.PodSelector.MatchLabels, nats.Spec.Selector.MatchLabels} {
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("%s=%s is selected, which NATS is not", key, value)
			}
		}
	}
	for key, value := range from[0].PodSelector.MatchLabels {
		if len(from) != 1 || app.Spec.Template.Labels[key] != value {
			t.Errorf("%s=%s may reach NATS, which the app is not", key, value)
		}
	}
	if container(t, nats, "nats").VolumeMounts[0].Name != nats.Spec.Template.Spec.Volumes[0].Name || nats.Spec.Template.Spec.Volumes[0].ConfigMap.Name != config.Name {
		t.Error("NATS does not get its configuration")
	}
}
