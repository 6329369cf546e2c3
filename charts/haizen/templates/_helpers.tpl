{{- define "haizen.fullname" -}}
{{- if contains "haizen" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-haizen" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "haizen.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: haizen
{{ include "haizen.selector" . }}
{{- end }}

{{- define "haizen.selector" -}}
app.kubernetes.io/name: haizen
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Takes root, component and reference: the last, if given, is the whole name. */ -}}
{{- define "haizen.image" -}}
{{- with .root.Values.image -}}
{{- $composed := printf "%s/%s:%s" .repository $.component (.tag | default $.root.Chart.AppVersion) | trimPrefix "/" -}}
{{- $.reference | default (ternary (printf "%s/%s" .registry $composed) $composed (ne .registry "")) -}}
{{- end -}}
{{- end }}

{{- /* What Pod Security "restricted" asks of a pod; takes root and runAsUser. */ -}}
{{- define "haizen.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .runAsUser }}
runAsGroup: {{ .runAsUser }}
fsGroup: {{ .runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "haizen.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "haizen.placement" -}}
{{- $pod := dict -}}
{{- range .Values.image.pullSecrets }}{{ $_ := set $pod "imagePullSecrets" (append ($pod.imagePullSecrets | default list) (dict "name" .)) }}{{ end -}}
{{- with .Values.nodeSelector }}{{ $_ := set $pod "nodeSelector" . }}{{ end -}}
{{- with .Values.tolerations }}{{ $_ := set $pod "tolerations" . }}{{ end -}}
{{- with $pod }}{{ toYaml . }}{{ end -}}
{{- end }}

{{- /* A password: the given one, else the one in the cluster, else a new one. Each call may make another, so a
       Secret's template asks once. Takes root, secret, key and given. */ -}}
{{- define "haizen.password" -}}
{{- $old := dig "data" .key "" (lookup "v1" "Secret" .root.Release.Namespace .secret | default dict) | b64dec -}}
{{- .given | default $old | default (randAlphaNum 32) -}}
{{- end }}

{{- /* Changes when a given password does, so that pods start anew; a made one never changes. */ -}}
{{- define "haizen.passwordVersion" -}}
{{- printf "%s/%s" .root.Release.Namespace (join "/" .given) | sha256sum | trunc 16 -}}
{{- end }}

{{- define "haizen.postgres.name" -}}{{ include "haizen.fullname" . }}-postgres{{- end }}
{{- define "haizen.mqtt.name" -}}{{ include "haizen.fullname" . }}-mqtt{{- end }}
{{- define "haizen.operator.name" -}}{{ include "haizen.fullname" . }}-operator{{- end }}

{{- define "haizen.postgres.secret" -}}
{{- if and (not .Values.postgres.enabled) .Values.postgres.existingSecret -}}{{ .Values.postgres.existingSecret }}{{- else -}}{{ include "haizen.postgres.name" . }}{{- end -}}
{{- end }}

{{- define "haizen.mqtt.host" -}}
{{- if .Values.mqtt.enabled -}}{{ include "haizen.mqtt.name" . }}.{{ .Release.Namespace }}.svc{{- else -}}{{ regexReplaceAll ":[0-9]+$" (urlParse .Values.mqtt.url).host "" }}{{- end -}}
{{- end }}

{{- define "haizen.mqtt.port" -}}
{{- if .Values.mqtt.enabled -}}{{ .Values.mqtt.service.port }}{{- else -}}{{ regexFind "[0-9]+$" (regexFind ":[0-9]+$" (urlParse .Values.mqtt.url).host) | default "1883" }}{{- end -}}
{{- end }}

{{- define "haizen.mqtt.secret" -}}
{{- .Values.mqtt.existingSecret | default (include "haizen.mqtt.name" .) -}}
{{- end }}

{{- define "haizen.mqtt.username" -}}
{{- ternary "operator" .Values.mqtt.username .Values.mqtt.enabled -}}
{{- end }}

{{- define "haizen.operator.url" -}}
http://{{ include "haizen.operator.name" . }}.{{ .Release.Namespace }}.svc:{{ .Values.operator.service.port }}
{{- end }}

{{- /* Says "yes" for a CRD that is ours to write: a new one, one of this release, or one to adopt. Takes root and name. */ -}}
{{- define "haizen.ownsCrd" -}}
{{- if .root.Values.crds.install -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name | default dict -}}
{{- $annotations := dig "metadata" "annotations" dict $found -}}
{{- if or (not $found) .root.Values.crds.adopt (and (eq (get $annotations "meta.helm.sh/release-name") .root.Release.Name) (eq (get $annotations "meta.helm.sh/release-namespace") .root.Release.Namespace)) -}}yes{{- end -}}
{{- end -}}
{{- end }}

{{- /* A quantity such as 384Mi in bytes: mosquitto knows no suffix. */ -}}
{{- define "haizen.bytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $factors := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "k" 1000 "M" 1000000 "G" 1000000000 -}}
{{- mul $number (get $factors (regexReplaceAll "^[0-9]+" . "") | int64) -}}
{{- end }}

{{- define "haizen.servicePort" -}}
- name: {{ .name }}
  port: {{ .service.port }}
  targetPort: {{ .name }}
{{- if and .service.nodePort (ne .service.type "ClusterIP") }}
  nodePort: {{ .service.nodePort }}
{{- end }}
{{- end }}
