# Runs inside the box, as root under its systemd; what it saw goes to standard output as `name=value` lines.
# ROOT, NODE: the checkout and the Node binary that calls.
SERVER=/run/holdfast/server/private/api.sock
AGENT=/run/holdfast/agent/public/api.sock
PATH=$ROOT/bin:$PATH

see() { echo "$1=$(printf '%s' "$2" | tr '\n' ' ')"; }
main_pid() { systemctl show -p MainPID --value holdfast-agent; }
# The caller's program is NODE: its path and hash are selectors.
fetch() { "$NODE" "$ROOT/dist/cli/holdfast-agent.js" api fetch x509 -timeout 15s -socketPath "$AGENT" | sed -n 's/^SPIFFE ID:[[:space:]]*//p'; }
# until SECONDS COMMAND...
until_true() {
  left=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 0.1
  done
}

# As docs/operations.md says.
cd "$ROOT" || exit 1
install -d /etc/sysusers.d /etc/tmpfiles.d
install -m 644 systemd/holdfast.sysusers.conf /etc/sysusers.d/holdfast.conf
install -m 644 systemd/holdfast.tmpfiles.conf /etc/tmpfiles.d/holdfast.conf
install -m 644 systemd/*.service systemd/*.socket /etc/systemd/system/
systemd-sysusers holdfast.conf
systemd-tmpfiles --create holdfast.conf
systemctl daemon-reload
mkdir -p /etc/credstore.encrypted
dd if=/dev/urandom bs=32 count=1 | systemd-creds encrypt --with-key=host --name=holdfast-storage-key - /etc/credstore.encrypted/holdfast-storage-key

cat >/etc/holdfast/server.conf <<X
server {
  bind_address = "127.0.0.1"
  bind_port = 8081
  trust_domain = "example.org"
  data_dir = "/var/lib/holdfast/server"
  socket_path = "$SERVER"
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "/var/lib/holdfast/server/datastore.sqlite3" } }
  KeyManager "disk" { plugin_data { keys_path = "/var/lib/holdfast/server/keys.json" } }
  NodeAttestor "join_token" { plugin_data {} }
}
X
systemctl enable --now holdfast-server.service
see server_active "$(systemctl is-active holdfast-server)"
see server_status "$(systemctl show -p StatusText --value holdfast-server)"

holdfast-server bundle show -socketPath $SERVER >/etc/holdfast/bundle.pem
token=$(holdfast-server token generate -socketPath $SERVER | sed -n 's/^Token: //p')
cat >/etc/holdfast/agent.conf <<X
agent {
  server_address = "127.0.0.1"
  server_port = 8081
  trust_domain = "example.org"
  data_dir = "/var/lib/holdfast/agent"
  socket_path = "$AGENT"
  admin_socket_path = "/run/holdfast/agent/admin/admin.sock"
  trust_bundle_path = "/etc/holdfast/bundle.pem"
  join_token = "$token"
}
plugins {
  KeyManager "disk" { plugin_data { directory = "/var/lib/holdfast/agent" } }
  NodeAttestor "join_token" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } }
}
X
systemctl enable --now holdfast-agent.service
see agent_active "$(systemctl is-active holdfast-agent)"
holdfast-server entry create -socketPath $SERVER -parentID "spiffe://example.org/spire/agent/join_token/$token" \
  -spiffeID spiffe://example.org/web -selector unix:uid:0 -selector "unix:path:$NODE" \
  -selector "unix:sha256:$(sha256sum "$NODE" | cut -d' ' -f1)" >&2
until_true 20 sh -c "systemctl show -p StatusText --value holdfast-agent | grep 'Serving 1 identity; server reached'"
see agent_status "$(systemctl show -p StatusText --value holdfast-agent)"
see fetched "$(fetch)"
see capabilities "$(sed -n 's/^CapEff:\t//p' "/proc/$(main_pid)/status")"
see user "$(ps -o user= -p "$(main_pid)")"
see storage "$(holdfast-agent status -socketPath /run/holdfast/agent/admin/admin.sock | sed -n 's/^Storage: *//p')"
until_true 10 test -s /var/lib/holdfast/agent/workloads.sealed

# From here on without the server.
systemctl stop holdfast-server
"$NODE" -e '
  const [path] = process.argv.slice(1);
  let made = 0, refused = 0;
  const call = () => {
    const socket = require("net").connect(path, () => { made++; socket.destroy(); });
    socket.on("error", ({ code }) => { if (code !== "EPIPE" && code !== "ECONNRESET") refused++; });
    socket.on("close", () => setTimeout(call, 5));
  };
  process.on("SIGTERM", () => { console.log(`calls_made=${made}\ncalls_refused=${refused}`); process.exit(); });
  call();
' $AGENT &
caller=$!
for round in 1 2 3 4 5; do
  systemctl restart holdfast-agent
  see "after_restart_$round" "$(fetch)"
done
systemctl kill -s SIGKILL holdfast-agent
see after_kill "$(fetch)"
kill $caller
wait $caller

systemctl stop holdfast-agent
see activated "$(fetch)"
systemctl reload holdfast-agent && see reloaded yes
see active_after_reload "$(systemctl is-active holdfast-agent)"

hung=$(main_pid)
restarts=$(systemctl show -p NRestarts --value holdfast-agent)
kill -STOP "$hung"
until_true 20 sh -c "test \$(systemctl show -p NRestarts --value holdfast-agent) -gt $restarts"
see after_hang "$(fetch)"
journalctl --no-pager -u holdfast-agent | grep -q 'Watchdog timeout' && see watchdog yes
journalctl --no-pager -u holdfast-agent -u holdfast-server >/hf/journal
