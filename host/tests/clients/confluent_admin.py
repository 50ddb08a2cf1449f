"""Creates TOPIC with 3 partitions, then prints what the broker tells of itself, one subject a line.

Usage: confluent_admin.py BROKER TOPIC GROUP
"""

import json
import sys

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

broker, topic, group = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": broker})
TIMEOUT = 30


def show(**subject):
    print(json.dumps(subject))


def create():
    try:
        future = admin.create_topics([NewTopic(topic, 3, 1)])[topic]
        return future.result(TIMEOUT)
    except KafkaException as error:
        return error.args[0].name()


show(created=create(), again=create())

metadata = admin.list_topics(timeout=TIMEOUT)
show(topics={name: len(t.partitions) for name, t in metadata.topics.items()})

described = admin.describe_topics(TopicCollection([topic]))[topic].result(TIMEOUT)
show(described=described.name, leaders=[p.leader.port for p in described.partitions])

cluster = admin.describe_cluster().result(TIMEOUT)
show(cluster=cluster.cluster_id, nodes=[f"{n.host}:{n.port}" for n in cluster.nodes])

resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
config = admin.describe_configs([resource])[resource].result(TIMEOUT)
show(config=sorted(config))

groups = admin.list_consumer_groups().result(TIMEOUT)
show(groups=[g.group_id for g in groups.valid], errors=[str(e) for e in groups.errors])

described = admin.describe_consumer_groups([group])[group].result(TIMEOUT)
show(group=described.group_id, state=described.state.name, members=len(described.members))

admin.delete_topics([topic])[topic].result(TIMEOUT)
show(left=topic in admin.list_topics(timeout=TIMEOUT).topics)
