{{/* Names and labels. The component is what Prometheus's job label says, as deploy/prometheus has it. */}}
{{- define "bitquake.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bitquake.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "bitquake.labels" -}}
{{ include "bitquake.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end -}}

{{- define "bitquake.image" -}}
{{ printf "%s:%s" .name (.root.Values.images.tag | default .root.Chart.AppVersion) | quote }}
{{- end -}}

{{/* What every pod has. */}}
{{- define "bitquake.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "bitquake.container" -}}
imagePullPolicy: {{ .Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* What schema and manifests cannot see: settings that do not go together. */}}
{{- define "bitquake.check" -}}
{{- range $what := list "models" "data" -}}
{{- if not (index $.Values $what) -}}
{{- fail (printf "%s: say which volume holds them, for example {persistentVolumeClaim: {claimName: ...}}" $what) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.insecure (not .Values.networkPolicy.enabled) -}}
{{- fail "metrics.insecure puts plain HTTP on the pod network: set networkPolicy.enabled, or leave metrics.insecure false" -}}
{{- end -}}
{{- if and .Values.metrics.insecure (not .Values.networkPolicy.prometheus) -}}
{{- fail "metrics.insecure: say in networkPolicy.prometheus who may scrape" -}}
{{- end -}}
{{- if and .Values.metrics.insecure (not .Values.security.tokens) -}}
{{- fail "metrics.insecure: Prometheus shows a token; set security.tokens" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor (not .Values.metrics.insecure) -}}
{{- fail "metrics.serviceMonitor needs metrics.insecure: on loopback nothing can scrape the coordinator" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.metrics.insecure) -}}
{{- fail "autoscaling needs metrics.insecure: on loopback nothing can scrape the coordinator" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.prometheus) -}}
{{- fail "autoscaling: say in autoscaling.prometheus where Prometheus answers" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.min) (int .Values.autoscaling.max)) -}}
{{- fail "autoscaling: min is above max" -}}
{{- end -}}
{{- end -}}
