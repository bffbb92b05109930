{{- define "vk.node" -}}
{{ .Values.nodeName | default .Release.Name }}
{{- end }}

{{- define "vk.account" -}}
{{ .Values.serviceAccount.name | default .Release.Name }}
{{- end }}

{{- define "vk.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{- define "vk.selector" -}}
app.kubernetes.io/name: vk
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vk.labels" -}}
{{ include "vk.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* What the process reads: the settings, and where the provider's file is. */}}
{{- define "vk.config" -}}
{{- $own := dict "provider" .Values.provider "nodename" (include "vk.node" .) "health-port" 10248 }}
{{- if .Values.providerConfig }}
{{- $_ := set $own "provider-config" "/etc/vk/provider.yaml" }}
{{- end }}
{{- merge $own .Values.config | toYaml }}
{{- end }}

{{/* The rules of the features that are on, in one namespace ("": cluster-wide); of files/permissions.yaml. */}}
{{- define "vk.rules" -}}
{{- $root := .root }}
{{- $namespace := .namespace }}
{{- $features := .features }}
{{- range $root.Files.Get "files/permissions.yaml" | fromYamlArray }}
{{- if and (has .feature $features) (eq .namespace $namespace) }}
- apiGroups: [{{ .group | quote }}]
  resources: [{{ .resource }}]
  {{- if .name }}
  resourceNames: [{{ .name | replace "{node}" (include "vk.node" $root) }}]
  {{- end }}
  verbs: [{{ .verbs | join ", " }}]
{{- end }}
{{- end }}
{{- end }}

{{- define "vk.subject" -}}
kind: ServiceAccount
name: {{ .name }}
namespace: {{ .namespace }}
{{- end }}

{{/* Nothing that the process does not need. */}}
{{- define "vk.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "vk.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Never on a virtual node, not even its own: it would wait for itself. */}}
{{- define "vk.elsewhere" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
    - matchExpressions:
      - key: type
        operator: NotIn
        values: [virtual-kubelet]
{{- end }}
