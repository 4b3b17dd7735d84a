# A Ceph of one monitor, one store in memory and one gateway, in the folder of $CEPH_CONF: `sh radosgw.sh ACCESS SECRET PORT FSID`.
set -eu
here=$(dirname "$CEPH_CONF")
mkdir "$here/mon" "$here/osd" "$here/rgw"
ceph-authtool --create-keyring "$here/keyring" --gen-key -n client.rgw
monmaptool --create --addv a "[v2:127.0.0.1:$3]" --fsid "$4" "$here/monmap"
ceph-mon --mkfs -i a --monmap "$here/monmap" --keyring "$here/keyring"
ceph-mon -i a --foreground &
id=$(cat /proc/sys/kernel/random/uuid)
/usr/bin/python3 "$(command -v ceph)" osd new "$id"
ceph-osd -i 0 --mkfs --osd-uuid "$id"
ceph-osd -i 0 --foreground &
radosgw-admin -n client.rgw user create --uid test --display-name test --access-key "$1" --secret-key "$2" >"$here/user"
exec radosgw -n client.rgw -f
