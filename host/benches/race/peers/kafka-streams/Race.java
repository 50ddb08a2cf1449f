import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/**
 * A contestant of the race in Kafka Streams. It parses each event and keeps it in a list, and sends the event on if there is an
 * output topic. Arguments: servers, topic, group, number of events, guarantee, output topic or "-".
 *
 * <p>Its output: "settings" with what it uses, "ready"; after a line on standard input "first", "third" and "done" with a count.
 */
public final class Race {
    /** Two threads, one per core of the machine that the settings were tried on. */
    private static final String THREADS = "2";

    record Evento(String id, String tipo, String place) {}

    private static final AtomicLong COUNT = new AtomicLong();

    /** The lists of all tasks, so that what they keep stays reachable until the end. */
    private static final ConcurrentLinkedQueue<List<Evento>> LISTS = new ConcurrentLinkedQueue<>();

    /** Keeps each event of one task, and forwards it if there is an output topic. */
    private static final class Keeper implements Processor<byte[], byte[], byte[], byte[]> {
        private final ObjectReader reader = new ObjectMapper().readerFor(Evento.class);
        private final List<Evento> list = new ArrayList<>();
        private final long events;
        private final boolean forwards;
        private ProcessorContext<byte[], byte[]> context;

        Keeper(long events, boolean forwards) {
            this.events = events;
            this.forwards = forwards;
            LISTS.add(list);
        }

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            try {
                list.add(reader.readValue(record.value()));
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            if (forwards) {
                context.forward(record);
            }
            report(COUNT.incrementAndGet(), events);
        }
    }

    private static void report(long count, long events) {
        if (count == 1) {
            say("first " + count);
        }
        if (count == events / 3) {
            say("third " + count);
        }
        if (count == events) {
            say("done " + count);
        }
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static Map<String, String> settings(String guarantee) {
        Map<String, String> settings = new TreeMap<>();
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, "10000");
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("max.poll.records"), "10000");
        settings.put(StreamsConfig.consumerPrefix("max.partition.fetch.bytes"), "4194304");
        settings.put(StreamsConfig.consumerPrefix("fetch.max.bytes"), "52428800");
        settings.put(StreamsConfig.consumerPrefix("receive.buffer.bytes"), "1048576");
        settings.put(StreamsConfig.producerPrefix("batch.size"), "1000000");
        settings.put(StreamsConfig.producerPrefix("linger.ms"), "100");
        settings.put(StreamsConfig.producerPrefix("buffer.memory"), "134217728");
        for (Map.Entry<Object, Object> property : System.getProperties().entrySet()) {
            String name = property.getKey().toString();
            if (name.startsWith("race.")) {
                settings.put(name.substring("race.".length()), property.getValue().toString());
            }
        }
        return settings;
    }

    public static void main(String[] args) throws Exception {
        String servers = args[0], topic = args[1], group = args[2], guarantee = args[4], output = args[5];
        long events = Long.parseLong(args[3]);
        boolean forwards = !output.equals("-");

        Topology topology = new Topology();
        topology.addSource("source", topic);
        topology.addProcessor("keeper", () -> new Keeper(events, forwards), "source");
        if (forwards) {
            topology.addSink("sink", output, "keeper");
        }
        Map<String, String> settings = settings(guarantee.equals("exactly_once") ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
        Properties properties = new Properties();
        properties.putAll(settings);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("race-kafka-streams-").toString());

        KafkaStreams streams = new KafkaStreams(topology, properties);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            System.exit(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        String version = org.apache.kafka.common.utils.AppInfoParser.getVersion();
        String java = System.getProperty("java.vm.name") + " " + Runtime.version();
        say("settings Kafka Streams " + version + ", " + java + ", " + settings);
        say("ready");
        if (System.in.read() >= 0) {
            streams.start();
        }
        // The parent closes standard input once it has measured.
        while (System.in.read() >= 0) {}
        Runtime.getRuntime().halt(0);
    }
}
