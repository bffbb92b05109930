// Package emulator drives the ECI emulator with the vendor's Go client, which is generated from an
// older state of the API: it has no statuses, events, tags and usage. test_emulator_go_client.py
// runs it; EMULATOR is the address of an emulator whose time passes 1000 times as fast.
package emulator

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/eci"
)

func newClient(t *testing.T, secret string) *eci.Client {
	t.Helper()
	config := sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false)
	client, err := eci.NewClientWithOptions(
		"cn-hangzhou", config, credentials.NewAccessKeyCredential("emulator", secret))
	if err != nil {
		t.Fatal(err)
	}
	client.Domain = os.Getenv("EMULATOR")
	return client
}

func connect(t *testing.T) *eci.Client {
	return newClient(t, "emulator-secret")
}

func creation(name string, command ...string) *eci.CreateContainerGroupRequest {
	request := eci.CreateCreateContainerGroupRequest()
	request.ContainerGroupName = name
	request.Container = &[]eci.CreateContainerGroupContainer{{
		Name:           "main",
		Image:          "nginx:1.27",
		Cpu:            requests.NewFloat(0.5),
		Memory:         requests.NewFloat(1),
		Command:        command,
		Tty:            requests.NewBoolean(true),
		EnvironmentVar: &[]eci.CreateContainerGroupEnvironmentVar{{Key: "A", Value: "ä & = +"}},
		Port:           &[]eci.CreateContainerGroupPort{{Port: requests.NewInteger(80), Protocol: "TCP"}},
		LivenessProbe: eci.CreateContainerGroupLivenessProbe{
			TcpSocket:     eci.CreateContainerGroupTcpSocket{Port: requests.NewInteger(80)},
			PeriodSeconds: requests.NewInteger(5),
		},
	}}
	request.Tag = &[]eci.CreateContainerGroupTag{{Key: "pod-uid", Value: name}}
	return request
}

func create(t *testing.T, client *eci.Client, request *eci.CreateContainerGroupRequest) string {
	t.Helper()
	answer, err := client.CreateContainerGroup(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer.ContainerGroupId
}

func group(t *testing.T, client *eci.Client, id string) eci.DescribeContainerGroupsContainerGroup0 {
	t.Helper()
	request := eci.CreateDescribeContainerGroupsRequest()
	request.ContainerGroupIds = fmt.Sprintf("[%q]", id)
	request.WithEvent = requests.NewBoolean(true)
	answer, err := client.DescribeContainerGroups(request)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.ContainerGroups) != 1 {
		t.Fatalf("expected one group, found %d", len(answer.ContainerGroups))
	}
	return answer.ContainerGroups[0]
}

// running returns the group once it runs; the timeout of go test is the limit.
func running(t *testing.T, client *eci.Client, id string) eci.DescribeContainerGroupsContainerGroup0 {
	for {
		if found := group(t, client, id); found.Status == "Running" {
			return found
		}
	}
}

func code(t *testing.T, err error) string {
	t.Helper()
	var refusal *sdkerrors.ServerError
	if !errors.As(err, &refusal) {
		t.Fatalf("expected an error of the service, found %v", err)
	}
	if refusal.RequestId() == "" {
		t.Error("the error has no request id")
	}
	return refusal.ErrorCode()
}

func TestAGroupIsCreatedAndShownAsItWasAskedFor(t *testing.T) {
	client := connect(t)
	found := running(t, client, create(t, client, creation("shown")))
	if found.Cpu != 0.5 || found.Memory != 1 || found.IntranetIp == "" {
		t.Errorf("unexpected size or address: %v", found)
	}
	if len(found.Tags) != 1 || found.Tags[0].Value != "shown" {
		t.Errorf("unexpected tags: %v", found.Tags)
	}
	if len(found.Events) == 0 || found.Events[0].Reason != "Scheduled" {
		t.Errorf("unexpected events: %v", found.Events)
	}
	container := found.Containers[0]
	if container.EnvironmentVars[0].Value != "ä & = +" || container.Ports[0].Port != 80 {
		t.Errorf("unexpected container: %v", container)
	}
	if container.CurrentState.State != "Running" || container.CurrentState.StartTime == "" {
		t.Errorf("unexpected state: %v", container.CurrentState)
	}
}

func TestPagesJoinToTheWholeList(t *testing.T) {
	client := connect(t)
	made := map[string]bool{}
	for range 5 {
		made[create(t, client, creation("paged"))] = true
	}
	request := eci.CreateDescribeContainerGroupsRequest()
	request.ContainerGroupName = "paged"
	request.Limit = requests.NewInteger(2)
	for pages := 1; ; pages++ {
		answer, err := client.DescribeContainerGroups(request)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range answer.ContainerGroups {
			delete(made, row.ContainerGroupId)
		}
		if request.NextToken = answer.NextToken; request.NextToken == "" {
			if pages != 3 || len(made) != 0 {
				t.Errorf("%d pages, not listed: %v", pages, made)
			}
			return
		}
	}
}

func TestATokenMakesACreateHappenOnce(t *testing.T) {
	client := connect(t)
	request := creation("once")
	request.ClientToken = "once"
	again := creation("once")
	again.ClientToken = "once"
	if first, second := create(t, client, request), create(t, client, again); first != second {
		t.Errorf("two groups: %s, %s", first, second)
	}
	other := creation("other")
	other.ClientToken = "once"
	_, err := client.CreateContainerGroup(other)
	if found := code(t, err); found != "IdempotentParameterMismatch" {
		t.Error(found)
	}
}

func TestALogIsReadAndATicketIsIssued(t *testing.T) {
	client := connect(t)
	id := create(t, client, creation("log", "sh", "-c", "echo hello; sleep infinity"))
	running(t, client, id)
	log := eci.CreateDescribeContainerLogRequest()
	log.ContainerGroupId, log.ContainerName = id, "main"
	log.Tail = requests.NewInteger(10)
	answer, err := client.DescribeContainerLog(log)
	if err != nil || answer.Content != "hello\n" {
		t.Errorf("%q, %v", answer.Content, err)
	}
	exec := eci.CreateExecContainerCommandRequest()
	exec.ContainerGroupId, exec.ContainerName = id, "main"
	exec.Command, exec.TTY = `["true"]`, requests.NewBoolean(true)
	ticket, err := client.ExecContainerCommand(exec)
	if err != nil || ticket.WebSocketUri == "" {
		t.Errorf("%q, %v", ticket.WebSocketUri, err)
	}
}

func TestAGroupIsUpdatedRestartedAndDeleted(t *testing.T) {
	client := connect(t)
	id := create(t, client, creation("changed"))
	running(t, client, id)
	update := eci.CreateUpdateContainerGroupRequest()
	update.ContainerGroupId = id
	update.Container = &[]eci.UpdateContainerGroupContainer{{Name: "main", Image: "nginx:1.28"}}
	if _, err := client.UpdateContainerGroup(update); err != nil {
		t.Fatal(err)
	}
	if image := running(t, client, id).Containers[0].Image; image != "nginx:1.28" {
		t.Error(image)
	}
	restart := eci.CreateRestartContainerGroupRequest()
	restart.ContainerGroupId = id
	if _, err := client.RestartContainerGroup(restart); err != nil {
		t.Fatal(err)
	}
	if count := running(t, client, id).Containers[0].RestartCount; count != 2 {
		t.Errorf("restarted %d times", count)
	}
	removal := eci.CreateDeleteContainerGroupRequest()
	removal.ContainerGroupId = id
	if _, err := client.DeleteContainerGroup(removal); err != nil {
		t.Fatal(err)
	}
	_, err := client.DeleteContainerGroup(removal)
	if found := code(t, err); found != "InvalidParameter.NotFound" {
		t.Error(found)
	}
}

func TestMetricsAndRegionsAreAnswered(t *testing.T) {
	client := connect(t)
	id := create(t, client, creation("measured"))
	running(t, client, id)
	metrics := eci.CreateDescribeMultiContainerGroupMetricRequest()
	metrics.ContainerGroupIds = fmt.Sprintf("[%q]", id)
	measured, err := client.DescribeMultiContainerGroupMetric(metrics)
	if err != nil || measured.MonitorDatas[0].Records[0].CPU.Limit != 500 {
		t.Errorf("%v, %v", measured, err)
	}
	regions, err := client.DescribeRegions(eci.CreateDescribeRegionsRequest())
	if err != nil || regions.Regions[0].RegionId != "cn-hangzhou" || len(regions.Regions[0].Zones) != 3 {
		t.Errorf("%v, %v", regions, err)
	}
}

// The client's model of a price has lists where today's API has objects, so it cannot be read.
func TestARequestForAPriceIsTaken(t *testing.T) {
	request := eci.CreateDescribeContainerGroupPriceRequest()
	request.Cpu, request.Memory = requests.NewFloat(2), requests.NewFloat(4)
	answer, err := connect(t).DescribeContainerGroupPrice(request)
	if answer.GetHttpStatus() != 200 {
		t.Error(err)
	}
}

func TestAnImageCacheBecomesReadyAndIsDeleted(t *testing.T) {
	client := connect(t)
	request := eci.CreateCreateImageCacheRequest()
	request.ImageCacheName, request.Image = "web", []string{"nginx:1.27", "busybox"}
	request.RetentionDays = requests.NewInteger(7)
	made, err := client.CreateImageCache(request)
	if err != nil {
		t.Fatal(err)
	}
	list := eci.CreateDescribeImageCachesRequest()
	list.ImageCacheId = made.ImageCacheId
	for {
		answer, err := client.DescribeImageCaches(list)
		if err != nil {
			t.Fatal(err)
		}
		if cache := answer.ImageCaches[0]; cache.Status == "Ready" {
			if cache.Progress != "100%" || len(cache.Images) != 2 {
				t.Errorf("unexpected cache: %v", cache)
			}
			break
		}
	}
	removal := eci.CreateDeleteImageCacheRequest()
	removal.ImageCacheId = made.ImageCacheId
	if _, err := client.DeleteImageCache(removal); err != nil {
		t.Error(err)
	}
}

func TestAWrongSecretIsRefused(t *testing.T) {
	_, err := newClient(t, "wrong").DescribeRegions(eci.CreateDescribeRegionsRequest())
	if found := code(t, err); found != "SignatureDoesNotMatch" {
		t.Error(found)
	}
}
